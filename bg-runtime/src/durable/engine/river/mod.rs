//! Tasks in PostgreSQL and SQLite, kept by River. Its tables are as any client of River, of any language, knows them;
//! what is ours is an object in the metadata of each row, an index on it, and the fence.
//!
//! ```text
//! store ──> insert ──> kinds ──> River ──> worker ──> held ──> the desk
//!                                            heart ─────┘ says what is still worked on
//!           list, order ──> rows             fence        refuses whom nobody waits for
//!                           events <── outcomes, progress
//! ```

mod address;
mod advice;
#[cfg(feature = "postgres")]
mod batch;
mod db;
mod dead;
mod dialect;
mod due;
mod events;
mod failure;
mod fence;
#[cfg(feature = "sqlite")]
mod file_changes;
mod heart;
mod insert;
mod kinds;
mod list;
mod metadata;
mod migrations;
mod order;
#[cfg(feature = "postgres")]
mod pooler;
#[cfg(feature = "postgres")]
mod postgres;
mod relief;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "postgres")]
mod standstill;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod wake;
mod worker;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use sqlx::Connection;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Rows by their number, claimed by the clients of this process, which are numbered as well.
type Held = super::held::Held<i64, u64>;

pub(crate) use self::address::Address;
use self::db::{Bind, Db, Pool, bound, fetch};
use self::insert::Open;
use self::wake::Waker;
use super::{Engine, Left, StoreEvent, StoreTransaction, Tally, told};
use crate::durable::error::{StartError, StoreError};
use crate::durable::query::{Found, Obeyed, Order, Query, Row};
use crate::durable::settings::StoreSettings;
use crate::durable::{Desk, Kept, Stored, StoredState, TaskStatus};
use crate::log_target::RUNTIME;
use crate::sync::Mutex;
use crate::task::{Progress, TaskId};

/// How often a batch is stored anew that another transaction was in the way of.
const COLLISIONS: u32 = 5;

struct River {
    address: Address,
    settings: StoreSettings,
    /// Of this worker, and of each of its connections. New with each process.
    name: String,
    /// Another one when the connections of the one before do not answer.
    db: OnceCell<Mutex<Arc<Db>>>,
    held: Arc<Held>,
    waker: Mutex<Option<Arc<Waker>>>,
}

impl River {
    fn new(address: Address, settings: StoreSettings) -> Self {
        Self {
            name: fence::worker_name(settings.lease, settings.fence),
            address,
            settings,
            db: OnceCell::new(),
            held: Arc::default(),
            waker: Mutex::new(None),
        }
    }

    /// Connects and migrates, once.
    async fn open(&self) -> Result<Arc<Db>, StartError> {
        let open = async || self.connect().await.map(Mutex::new);
        let db = self.db.get_or_try_init(open).await?;
        Ok(db.lock().clone())
    }

    async fn connect(&self) -> Result<Arc<Db>, StartError> {
        let store = self.address.describe();
        let (settings, name) = (&self.settings, &*self.name);
        let db = match &self.address {
            #[cfg(feature = "sqlite")]
            Address::Sqlite(path) => sqlite::open(path, settings, name, &store).await,
            #[cfg(feature = "postgres")]
            Address::Postgres(options) => {
                postgres::open((**options).clone(), settings, name, &store).await
            }
            #[cfg(feature = "postgres")]
            Address::Invalid(error) => Err(StartError::Unreachable {
                store: store.clone(),
                error: error.clone(),
            }),
        };
        db.map(Arc::new)
    }

    async fn db(&self) -> Result<Arc<Db>, StoreError> {
        self.open().await.map_err(|error| match error {
            StartError::Unreachable { error, .. } => StoreError::Unreachable(error),
            other => StoreError::refused(other),
        })
    }

    /// As [`db`](Self::db). A transaction of the caller's may have the lock that a file is opened with, and waits for
    /// this meanwhile.
    async fn db_beside(&self, transaction: &StoreTransaction<'_>) -> Result<Arc<Db>, StoreError> {
        match transaction {
            #[cfg(feature = "sqlite")]
            StoreTransaction::Sqlite(_) => {
                let limit = self.settings.store_timeout / 2;
                let opened = tokio::time::timeout(limit, self.db()).await;
                opened.unwrap_or_else(|_| {
                    let error = format!(
                        "{} was not opened yet, and cannot be while a transaction has its lock: call `start()` before",
                        self.address.describe()
                    );
                    Err(StoreError::refused(error))
                })
            }
            #[allow(unreachable_patterns, reason = "with one of the two features only")]
            _ => self.db().await,
        }
    }

    /// Says why there is no connection, as far as that can be found out.
    #[cfg(feature = "postgres")]
    async fn without_connection(
        &self,
        error: Arc<dyn std::error::Error + Send + Sync>,
    ) -> StoreError {
        let pool = self.db.get().map(|db| db.lock().pool.clone());
        match pool {
            Some(Pool::Postgres(database)) => {
                StoreError::unreachable(postgres::why_without_connection(database.pool()).await)
            }
            _ => StoreError::Unreachable(error),
        }
    }

    /// Has the worker of this process look for tasks.
    fn wake_own<'a>(&self, queues: impl Iterator<Item = &'a str>) {
        let waker = self.waker.lock().clone();
        if let Some(waker) = waker {
            waker.wake(queues);
        }
    }

    /// Tells workers of tasks that were stored.
    fn wake(&self, db: &Arc<Db>, stored: &[Stored]) {
        let now = SystemTime::now();
        let due = stored.iter().filter(|task| task.later_than(now).is_none());
        let queues = due.map(|task| &*task.queue);
        self.wake_own(queues.clone());
        match &db.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => db.bell.ring(db, queues),
            // Whoever works on a file sees that it has changed.
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => {}
        }
    }

    async fn store_all(&self, batch: &[Stored]) -> Result<Vec<Kept>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let db = self.db().await?;
        #[cfg(feature = "postgres")]
        if let Some(stored) = insert::insert_at_once(&db, batch).await {
            stored?;
            self.wake(&db, batch);
            return Ok(vec![Kept::Stored; batch.len()]);
        }
        let mut tries = 0;
        let kept = loop {
            let mut into = Open::begin(&db).await?;
            match insert::insert(&db, &mut into, batch).await {
                Ok(kept) => {
                    into.commit().await?;
                    break kept;
                }
                // Two that want the same unique values, in another order.
                Err(error) if failure::is_collision(&error) && tries < COLLISIONS => {
                    drop(into);
                    tries += 1;
                    let pause = Duration::from_millis(fastrand::u64(1..20));
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.wake(&db, batch);
        Ok(kept)
    }

    async fn store_all_in(
        &self,
        transaction: StoreTransaction<'_>,
        batch: &[Stored],
    ) -> Result<Vec<Kept>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let db = self.db_beside(&transaction).await?;
        let of_another = |why: String| StoreError::NoTransactions {
            store: self.describe(),
            why,
        };
        // In a savepoint, so that what fails here leaves the caller's transaction as it was.
        let mut into = match (transaction, &db.pool) {
            #[cfg(feature = "postgres")]
            (StoreTransaction::Postgres(connection), Pool::Postgres(database)) => {
                let mut savepoint = connection.begin().await?;
                let theirs = postgres::table(&mut *savepoint, &db.sql.jobs).await?;
                // The table may be another one than at the start, as after a move to another server.
                if db.table.as_ref() != Some(&theirs)
                    && postgres::table(database.pool(), &db.sql.jobs).await? != theirs
                {
                    return Err(of_another(theirs.why_not()));
                }
                Open::Postgres(savepoint)
            }
            #[cfg(feature = "sqlite")]
            (StoreTransaction::Sqlite(connection), Pool::Sqlite(pool)) => {
                if let Some(why) = other_file(connection, pool).await? {
                    return Err(of_another(why));
                }
                Open::Sqlite(connection.begin().await?)
            }
            #[allow(unreachable_patterns, reason = "with one of the two features only")]
            _ => return Err(of_another("it is of another kind of database".to_owned())),
        };
        let kept = insert::insert(&db, &mut into, batch).await?;
        into.commit().await?;
        Ok(kept)
    }

    async fn keep_progress(&self, task: TaskId, progress: &Progress) -> Result<(), StoreError> {
        let Some(row) = self.held.row_of(task) else {
            return Ok(());
        };
        let db = self.db().await?;
        let line = told::progress_line(task, progress);
        let value = (progress.done(), progress.total(), progress.message());
        let value = serde_json::to_string(&value).map_err(StoreError::refused)?;
        let words = &db.sql;
        let (jobs, worker, key) = (&words.jobs, words.worker, metadata::PROGRESS);
        let mine = format!("where id = $1 and state = 'running' and {worker} = $2");
        let binds = vec![
            Bind::Int(row),
            Bind::Text(self.name.clone()),
            Bind::Text(value),
        ];
        match &db.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(database) => {
                let sql = format!(
                    "with kept as (update {jobs} set metadata = jsonb_set(metadata, '{{{key}}}', $3::jsonb) {mine}
                     returning id) select pg_notify($4, $5)::text from kept"
                );
                let query = sqlx::query(sqlx::AssertSqlSafe(sql));
                let query = bound!(query, binds)
                    .bind(db.channel(events::CHANNEL))
                    .bind(line);
                query.execute(database.pool()).await?;
            }
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => {
                let sql = format!(
                    "update {jobs} set metadata = jsonb_set(metadata, '$.{key}', jsonb($3)) {mine}"
                );
                let query = sqlx::query(sqlx::AssertSqlSafe(sql));
                let kept = bound!(query, binds).execute(pool).await?;
                if kept.rows_affected() > 0 {
                    let sql = "insert into river_notification (payload, topic) select $1, $2
                         where exists (select 1 from bg_listener where until > strftime('%Y-%m-%d %H:%M:%f', 'now'))";
                    let told = sqlx::query(sql).bind(line).bind(events::CHANNEL);
                    told.execute(pool).await?;
                }
            }
        }
        Ok(())
    }

    async fn pause(&self, queue: String, paused: bool) -> Result<(), StoreError> {
        let db = self.db().await?;
        // It may be paused before anybody has looked at it.
        let sql = format!(
            "insert into {} (name, updated_at) values ($1, {}) on conflict (name) do nothing returning name",
            db.sql.queues, db.sql.now
        );
        fetch!(db, (String,), sql, vec![Bind::Text(queue.clone())])?;
        let waker = self.waker.lock().clone();
        let client = match &waker {
            Some(waker) => waker.client(),
            None => db.client(),
        };
        match paused {
            true => client.queues().pause(queue.as_str()).await?,
            false => client.queues().resume(queue.as_str()).await?,
        }
        Ok(())
    }
}

/// Returns why a task cannot be a part of a transaction: that is on another file.
#[cfg(feature = "sqlite")]
async fn other_file(
    connection: &mut sqlx::SqliteConnection,
    pool: &sqlx::SqlitePool,
) -> Result<Option<String>, sqlx::Error> {
    // This reads nothing of the file: a transaction that has read before it writes does not wait for another writer.
    let files = sqlx::query_as("pragma database_list").fetch_all(connection);
    let files: Vec<(i64, String, Option<String>)> = files.await?;
    let theirs = files.into_iter().find(|(_, name, _)| name == "main");
    let theirs = theirs.and_then(|(.., file)| file).unwrap_or_default();
    if theirs.is_empty() {
        return Ok(Some("it is on a database in memory".to_owned()));
    }
    let ours = pool.connect_options();
    let canonical = |path: &std::path::Path| path.canonicalize().ok();
    let is_same = canonical(theirs.as_ref()) == canonical(ours.get_filename());
    Ok((!is_same).then(|| format!("it is on another file, {theirs}")))
}

/// Says that the tables are of a later version than this program's, which works as long as they only gained something.
fn warn_of_newer(found: &[i64], known: i64, store: &str) {
    if let Some(newer) = found.iter().max().filter(|version| **version > known) {
        tracing::warn!(
            target: RUNTIME,
            "the tables of {store} are of version {newer}, and this program knows {known}: it goes on, as an old one does \
             in the middle of a deploy"
        );
    }
}

impl Engine for River {
    fn describe(&self) -> String {
        self.address.describe()
    }

    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        Box::pin(async move { self.open().await.map(drop) })
    }

    fn store(&self, batch: Arc<[Stored]>) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move {
            match self.store_all(&batch).await {
                #[cfg(feature = "postgres")]
                Err(StoreError::Unreachable(error)) if advice::is_without_connection(&*error) => {
                    Err(self.without_connection(error).await)
                }
                stored => stored,
            }
        })
    }

    fn store_in<'a>(
        &'a self,
        transaction: StoreTransaction<'a>,
        batch: Arc<[Stored]>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        Box::pin(async move { self.store_all_in(transaction, &batch).await })
    }

    fn work(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.work_until(desk, stop))
    }

    fn list(
        &self,
        query: Query,
        after: Option<Row>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Found, StoreError>> {
        Box::pin(async move { list::list(&*self.db().await?, &query, after, limit).await })
    }

    fn counts(&self, query: Query) -> BoxFuture<'_, Result<Vec<(StoredState, u64)>, StoreError>> {
        Box::pin(async move { list::counts(&*self.db().await?, &query).await })
    }

    fn order(&self, task: TaskId, order: Order) -> BoxFuture<'_, Result<Obeyed, StoreError>> {
        Box::pin(async move {
            let (obeyed, orders) = order::one(&*self.db().await?, task, order).await?;
            self.wake_own(orders.queues());
            Ok(obeyed)
        })
    }

    fn order_all(&self, query: Query, order: Order) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let orders = order::all(&*self.db().await?, &query, order).await?;
            self.wake_own(orders.queues());
            Ok(orders.count())
        })
    }

    fn set_progress(
        &self,
        task: TaskId,
        progress: Progress,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.keep_progress(task, &progress).await })
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, StoreEvent>, StoreError>> {
        Box::pin(async move { events::listen(&self.db().await?).await })
    }

    fn postpone(
        &self,
        tasks: Vec<TaskId>,
        due: SystemTime,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { due::postpone(&*self.db().await?, &tasks, due).await })
    }

    fn release(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let orders = due::release(&*self.db().await?, &tasks).await?;
            self.wake_own(orders.queues());
            Ok(())
        })
    }

    fn claim_dead(
        &self,
        limit: u32,
        again_after: Duration,
    ) -> BoxFuture<'_, Result<Vec<TaskStatus>, StoreError>> {
        Box::pin(async move { dead::claim(&*self.db().await?, limit, again_after).await })
    }

    fn note_told(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { dead::note_told(&*self.db().await?, &tasks).await })
    }

    fn tallies(&self) -> BoxFuture<'_, Result<Vec<Tally>, StoreError>> {
        Box::pin(async move { list::tallies(&*self.db().await?).await })
    }

    fn unknown_names(
        &self,
        known: &'static [&'static str],
    ) -> BoxFuture<'_, Result<Vec<(String, u64)>, StoreError>> {
        Box::pin(async move { list::unknown_names(&*self.db().await?, known).await })
    }

    fn left(&self, silent_for: Duration) -> BoxFuture<'_, Result<Vec<Left>, StoreError>> {
        Box::pin(async move { list::left(&*self.db().await?, silent_for).await })
    }

    fn set_paused(&self, queue: String, paused: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(self.pause(queue, paused))
    }

    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(String, Duration)>, StoreError>> {
        Box::pin(async move { list::oldest(&*self.db().await?).await })
    }
}
