//! Telling workers that tasks wait.
//!
//! The worker of this process looks at once. Those of other processes are notified, which PostgreSQL does when a
//! transaction is committed, of one transaction at a time: if the one that stores a task did it, requests would wait
//! for each other's writes. So it is done afterwards, and of all that was stored meanwhile. Whoever is not told, because
//! this process ends in between, finds the task within a second.

use std::collections::BTreeSet;
#[cfg(feature = "postgres")]
use std::mem::take;
#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
#[cfg(feature = "postgres")]
use std::time::Instant;

use riverqueue::protocol::NOTIFICATION_TOPIC_INSERT;
use riverqueue::{Client, QueueConfig};

use super::db::{Db, Pool};
use crate::durable::error::StoreError;
#[cfg(feature = "postgres")]
use crate::sync::Mutex;

/// Has the worker of this process look for tasks.
pub(super) struct Waker {
    client: Client,
    poll: Duration,
    calls: AtomicU64,
}

impl Waker {
    pub(super) fn new(client: Client, poll: Duration) -> Self {
        Self {
            client,
            poll,
            calls: AtomicU64::new(0),
        }
    }

    /// Returns the client that works.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn wake<'a>(&self, queues: impl Iterator<Item = &'a str>) {
        let here = self.client.local_queues();
        let known = here.configs();
        for queue in queues {
            if let Some(config) = known.get(queue) {
                self.look(queue, config.clone());
            }
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn wake_all(&self) {
        for (queue, config) in self.client.local_queues().configs() {
            self.look(&queue, config);
        }
    }

    /// A client looks at once when its settings change, so the poll changes by a nanosecond.
    fn look(&self, queue: &str, config: QueueConfig) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let poll = self.poll + Duration::from_nanos(calls % 1000);
        let config = config.with_fetch_poll_interval(poll);
        // It fails for a queue that is not looked at here, which has no one to wake.
        let _ = self.client.local_queues().update(queue, config);
    }
}

#[cfg(feature = "postgres")]
/// Wakes the workers of other processes, now and then, as long as tasks are stored.
#[derive(Default)]
pub(super) struct Bell(Mutex<Due>);

#[cfg(feature = "postgres")]
#[derive(Default)]
struct Due {
    queues: BTreeSet<String>,
    /// Since when somebody is about it. Who takes longer than [`PATIENCE`] is not waited for: his connection may be
    /// dead without a word, or his runtime may be one that nobody drives any more.
    ringing: Option<Instant>,
}

/// By then workers have looked themselves.
#[cfg(feature = "postgres")]
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(feature = "postgres")]
impl Bell {
    /// Needs a runtime.
    pub(super) fn ring<'a>(self: &Arc<Self>, db: &Arc<Db>, queues: impl Iterator<Item = &'a str>) {
        {
            let due = &mut *self.0.lock();
            for queue in queues {
                if !due.queues.contains(queue) {
                    due.queues.insert(queue.to_owned());
                }
            }
            let is_ringing = due.ringing.is_some_and(|since| since.elapsed() < PATIENCE);
            if due.queues.is_empty() || is_ringing {
                return;
            }
            due.ringing = Some(Instant::now());
        }
        let mut ringing = Ringing(Some(self.clone()));
        let db = db.clone();
        tokio::spawn(async move {
            while let Some(queues) = ringing.next() {
                // Whoever stores is told of an outage; the workers look themselves.
                let told = wake_others(&db, queues.iter().map(|queue| &**queue));
                let _ = tokio::time::timeout(PATIENCE, told).await;
            }
        });
    }

    /// Takes what is to be told. If it is nothing, nobody rings any more.
    fn next(&self) -> Option<BTreeSet<String>> {
        let due = &mut *self.0.lock();
        let queues = take(&mut due.queues);
        due.ringing = (!queues.is_empty()).then(Instant::now);
        due.ringing.is_some().then_some(queues)
    }
}

/// `None` when there is nothing more to tell.
#[cfg(feature = "postgres")]
struct Ringing(Option<Arc<Bell>>);

#[cfg(feature = "postgres")]
impl Ringing {
    fn next(&mut self) -> Option<BTreeSet<String>> {
        let queues = self.0.as_ref()?.next();
        if queues.is_none() {
            self.0 = None;
        }
        queues
    }
}

/// Its runtime may have ended before it did.
#[cfg(feature = "postgres")]
impl Drop for Ringing {
    fn drop(&mut self) {
        if let Some(bell) = &self.0 {
            bell.0.lock().ringing = None;
        }
    }
}

pub(super) async fn wake_others<'a>(
    db: &Db,
    queues: impl Iterator<Item = &'a str>,
) -> Result<(), StoreError> {
    notify(db, NOTIFICATION_TOPIC_INSERT, &lines(queues)).await
}

/// Wakes all workers when the transaction is committed, and not before.
#[cfg(feature = "postgres")]
pub(super) async fn wake_later<'a>(
    db: &Db,
    transaction: &mut sqlx::PgConnection,
    queues: impl Iterator<Item = &'a str>,
) -> Result<(), sqlx::Error> {
    let lines = lines(queues);
    postgres_notify(db, transaction, NOTIFICATION_TOPIC_INSERT, &lines).await
}

/// What River says of each queue.
fn lines<'a>(queues: impl Iterator<Item = &'a str>) -> Vec<String> {
    let queues: BTreeSet<_> = queues.collect();
    let lines = queues
        .into_iter()
        .map(|queue| serde_json::json!({"queue": queue}).to_string());
    lines.collect()
}

/// Sends what the clients of River listen to.
pub(super) async fn notify(db: &Db, topic: &str, lines: &[String]) -> Result<(), StoreError> {
    if lines.is_empty() {
        return Ok(());
    }
    match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(database) => postgres_notify(db, database.pool(), topic, lines).await?,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(pool) => {
            let lines = serde_json::to_string(lines).unwrap_or_default();
            sqlx::query("insert into river_notification (payload, topic) select value, $2 from json_each($1)")
                .bind(lines)
                .bind(topic)
                .execute(pool)
                .await?;
        }
    }
    Ok(())
}

#[cfg(feature = "postgres")]
async fn postgres_notify(
    db: &Db,
    on: impl sqlx::PgExecutor<'_>,
    topic: &str,
    lines: &[String],
) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_notify($1, line) from unnest($2::text[]) as line")
        .bind(db.channel(topic))
        .bind(lines)
        .execute(on)
        .await
        .map(drop)
}
