//! What happens to tasks, told to whoever waits for them in any process.
//!
//! In PostgreSQL the process that ran a task notifies the others, of many outcomes at once. In SQLite a trigger writes
//! the outcome beside it, in the table that River has for notifications, as long as somebody listens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use riverqueue::{Client, Event, EventKind, EventReceiver, EventRecvError, JobState};
#[cfg(feature = "sqlite")]
use sqlx::SqlitePool;

use super::Held;
use super::db::{Db, Pool};
use super::failure;
#[cfg(feature = "sqlite")]
use super::file_changes::FileChanges;
use crate::durable::engine::StoreEvent;
#[cfg(feature = "postgres")]
use crate::durable::engine::told::ended_line;
use crate::durable::engine::told::parse;
use crate::durable::error::StoreError;
use crate::log_target::RUNTIME;
use crate::task::TaskId;

pub(super) const CHANNEL: &str = "bg_events";

/// How many outcomes are told at once: each takes 38 bytes, and a notification has less than 8000.
const AT_ONCE: usize = 200;

/// How long it may take to tell of outcomes: by then, whoever waits for them has looked.
const TELLING: Duration = Duration::from_secs(5);

/// Of one connection, like the fence: writes what has ended while somebody listens.
#[cfg(feature = "sqlite")]
pub(super) const SQLITE_TRIGGER: &str = "
    create temp trigger if not exists bg_told after update of state on main.river_job
    when new.state in ('completed', 'cancelled', 'discarded') and old.state <> new.state
        and json_valid(new.metadata, 5) and json_extract(new.metadata, '$.bg.id') is not null
        and exists (select 1 from main.bg_listener where until > strftime('%Y-%m-%d %H:%M:%f', 'now'))
    begin
        insert into river_notification (payload, topic)
        values ('e' || json_extract(new.metadata, '$.bg.id'), 'bg_events');
    end;";

/// Tells others that tasks have ended, where no trigger does.
pub(super) fn tell_ended<'a>(
    db: &'a Db,
    tasks: &'a [TaskId],
) -> BoxFuture<'a, Result<(), sqlx::Error>> {
    Box::pin(async move {
        for tasks in tasks.chunks(AT_ONCE) {
            match &db.pool {
                #[cfg(feature = "postgres")]
                Pool::Postgres(database) => {
                    let lines: Vec<_> = tasks.iter().map(|task| ended_line(*task)).collect();
                    sqlx::query("select pg_notify($1, $2)")
                        .bind(db.channel(CHANNEL))
                        .bind(lines.join("\n"))
                        .execute(database.pool())
                        .await?;
                }
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(_) => {
                    let _ = tasks;
                }
            }
        }
        Ok(())
    })
}

/// Tells of what this process has recorded.
pub(super) struct Teller {
    db: Arc<Db>,
    held: Arc<Held>,
    events: EventReceiver,
    ended: Vec<TaskId>,
    is_lost: bool,
}

impl Teller {
    pub(super) fn new(
        db: &Arc<Db>,
        held: &Arc<Held>,
        client: &Client,
    ) -> Result<Self, riverqueue::Error> {
        let kinds = [
            EventKind::JobCompleted,
            EventKind::JobFailed,
            EventKind::JobCancelled,
            EventKind::JobSnoozed,
            EventKind::JobInterrupted,
        ];
        Ok(Self {
            db: db.clone(),
            held: held.clone(),
            events: client.subscribe(&kinds)?,
            ended: Vec::new(),
            is_lost: false,
        })
    }

    pub(super) async fn tell(&mut self) -> Infallible {
        loop {
            match self.events.recv().await {
                Ok(event) => self.note(&event),
                // The next beat finds what is not held any more, and readers look themselves now and then.
                Err(EventRecvError::Lagged(_)) => continue,
                Err(_) => std::future::pending().await,
            }
            while self.ended.len() < AT_ONCE
                && let Some(Ok(event)) = self.events.recv().now_or_never()
            {
                self.note(&event);
            }
            self.send().await;
        }
    }

    pub(super) async fn tell_the_rest(&mut self) {
        while let Some(Ok(event)) = self.events.recv().now_or_never() {
            self.note(&event);
        }
        self.send().await;
    }

    fn note(&mut self, event: &Event) {
        let Some(event) = event.as_job() else { return };
        let is_over = matches!(
            event.job.state,
            JobState::Completed | JobState::Cancelled | JobState::Discarded
        );
        if let Some(task) = self.held.recorded(&event.job.id)
            && is_over
        {
            self.ended.push(task);
        }
    }

    async fn send(&mut self) {
        let ended = std::mem::take(&mut self.ended);
        // A connection may be dead without a word, and the claims that are recorded wait to be forgotten behind this.
        let why = match tokio::time::timeout(TELLING, tell_ended(&self.db, &ended)).await {
            Ok(Ok(())) => {
                self.is_lost = false;
                return;
            }
            Ok(Err(error)) => failure::text(error),
            Err(_) => format!("no answer within {TELLING:?}"),
        };
        if !std::mem::replace(&mut self.is_lost, true) {
            tracing::warn!(
                target: RUNTIME,
                "who waits for tasks of this worker hears of their end after some seconds: {why}"
            );
        }
    }
}

/// Listens, from when it returns.
pub(super) async fn listen(db: &Arc<Db>) -> Result<BoxStream<'static, StoreEvent>, StoreError> {
    let alone = db.clone();
    db.ears
        .listen(async move { listen_alone(&alone).await })
        .await
}

async fn listen_alone(db: &Db) -> Result<BoxStream<'static, StoreEvent>, StoreError> {
    match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) if !db.hears => Ok(stream::unfold((), async |()| {
            tokio::time::sleep(AGAIN).await;
            Some((StoreEvent::Gap, ()))
        })
        .boxed()),
        #[cfg(feature = "postgres")]
        Pool::Postgres(database) => {
            let ear = PostgresEar::new(database.pool().clone(), db.channel(CHANNEL)).await?;
            let events = stream::unfold(ear, async |mut ear| {
                let events = ear.next().await;
                Some((stream::iter(events), ear))
            });
            Ok(events.flatten().boxed())
        }
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(pool) => {
            let ear = SqliteEar::new(pool.clone()).await?;
            let events = stream::unfold(ear, async |mut ear| {
                let events = ear.next().await;
                Some((stream::iter(events), ear))
            });
            Ok(events.flatten().boxed())
        }
    }
}

/// How long is waited before a lost connection is made again, and where nothing is heard, before a look.
const AGAIN: Duration = Duration::from_secs(1);

#[cfg(feature = "postgres")]
struct PostgresEar {
    pool: sqlx::PgPool,
    channel: String,
    listener: Option<sqlx::postgres::PgListener>,
}

#[cfg(feature = "postgres")]
impl PostgresEar {
    /// How long nothing is heard before the connection is looked at.
    const SILENCE: Duration = Duration::from_secs(5);

    async fn new(pool: sqlx::PgPool, channel: String) -> Result<Self, sqlx::Error> {
        let listener = super::postgres::listener(&pool, &[&channel]).await?;
        Ok(Self {
            pool,
            channel,
            listener: Some(listener),
        })
    }

    async fn next(&mut self) -> VecDeque<StoreEvent> {
        loop {
            let Some(listener) = &mut self.listener else {
                tokio::time::sleep(AGAIN).await;
                let listener = super::postgres::listener(&self.pool, &[&self.channel]).await;
                if let Ok(listener) = listener {
                    self.listener = Some(listener);
                    return [StoreEvent::Gap].into();
                }
                continue;
            };
            match tokio::time::timeout(Self::SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(heard))) => return heard.payload().lines().filter_map(parse).collect(),
                // It was lost, and is there again.
                Ok(Ok(None)) => return [StoreEvent::Gap].into(),
                Ok(Err(_)) => self.listener = None,
                Err(_) => {
                    let asked = sqlx::query("select 1").execute(listener);
                    let answer = tokio::time::timeout(Self::SILENCE, asked).await;
                    if !matches!(answer, Ok(Ok(_))) {
                        self.listener = None;
                    }
                }
            }
        }
    }
}

#[cfg(feature = "sqlite")]
struct SqliteEar {
    pool: SqlitePool,
    id: String,
    /// What was heard last.
    last: i64,
    /// When the others have to be told anew that somebody listens.
    until: tokio::time::Instant,
    is_lost: bool,
    changes: FileChanges,
}

#[cfg(feature = "sqlite")]
impl SqliteEar {
    /// How long the others believe that somebody listens.
    const LISTENS: Duration = Duration::from_secs(30);

    async fn new(pool: SqlitePool) -> Result<Self, sqlx::Error> {
        let mut ear = Self {
            changes: FileChanges::of(&pool),
            pool,
            id: TaskId::next().to_string(),
            last: 0,
            until: tokio::time::Instant::now(),
            is_lost: false,
        };
        ear.announce().await?;
        let last = sqlx::query_scalar("select coalesce(max(id), 0) from river_notification");
        ear.last = last.fetch_one(&ear.pool).await?;
        Ok(ear)
    }

    async fn announce(&mut self) -> Result<(), sqlx::Error> {
        // Those of others that have ended without a word are cleared away.
        let sql = "delete from bg_listener where until < strftime('%Y-%m-%d %H:%M:%f', 'now');
             insert into bg_listener (id, until)
             values ($1, strftime('%Y-%m-%d %H:%M:%f', 'now', '+' || $2 || ' seconds'))
             on conflict (id) do update set until = excluded.until";
        for sql in sql.split(';') {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()));
            if sql.contains("$1") {
                let seconds = i64::try_from(Self::LISTENS.as_secs()).unwrap_or(i64::MAX);
                query = query.bind(&self.id).bind(seconds);
            }
            query.execute(&self.pool).await?;
        }
        self.until = tokio::time::Instant::now() + Self::LISTENS / 3;
        Ok(())
    }

    async fn next(&mut self) -> VecDeque<StoreEvent> {
        loop {
            match self.look().await {
                Ok(events) if std::mem::take(&mut self.is_lost) => {
                    return std::iter::once(StoreEvent::Gap).chain(events).collect();
                }
                Ok(events) if !events.is_empty() => return events,
                Ok(_) => {
                    let _ = tokio::time::timeout_at(self.until, self.changes.next()).await;
                }
                Err(_) => {
                    self.is_lost = true;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn look(&mut self) -> Result<VecDeque<StoreEvent>, sqlx::Error> {
        if self.until <= tokio::time::Instant::now() {
            self.announce().await?;
        }
        let heard: Vec<(i64, String)> = sqlx::query_as(
            "select id, payload from river_notification where topic = $1 and id > $2 order by id limit 1000",
        )
        .bind(CHANNEL)
        .bind(self.last)
        .fetch_all(&self.pool)
        .await?;
        if let Some((last, _)) = heard.last() {
            self.last = *last;
        }
        Ok(heard.iter().filter_map(|(_, line)| parse(line)).collect())
    }
}

#[cfg(feature = "sqlite")]
impl Drop for SqliteEar {
    fn drop(&mut self) {
        let (pool, id) = (self.pool.clone(), std::mem::take(&mut self.id));
        // Where no runtime is left, the announcement ends by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let sql = "delete from bg_listener where id = $1";
                let _ = sqlx::query(sql).bind(id).execute(&pool).await;
            });
        }
    }
}
