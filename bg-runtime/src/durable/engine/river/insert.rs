//! Storing tasks: a batch in one transaction, our own or a part of the caller's.

use riverqueue::jiff::Timestamp;
use riverqueue::{
    Client, Error, InsertBatch, InsertBatchResult, InsertOpts, JobMetadata, JobState, UniqueOpts,
};
#[cfg(feature = "postgres")]
use sqlx::Postgres;
#[cfg(feature = "sqlite")]
use sqlx::Sqlite;
use sqlx::{AssertSqlSafe, Transaction};

use super::db::{Db, Pool};
use super::kinds::Put;
use super::metadata::{self, Bg, Metadata};
use crate::durable::{Kept, Stored, Unique};

/// How often a task may lose its worker before River gives it up. The desk gives it up after as many, whatever the
/// failures of its own are.
pub(super) const LOSSES: u32 = 5;

/// In these a task has its unique value.
const UNFINISHED: [JobState; 5] = [
    JobState::Available,
    JobState::Pending,
    JobState::Retryable,
    JobState::Running,
    JobState::Scheduled,
];

/// And in these, if it keeps the value for some time after it was stored.
const FINISHED: [JobState; 3] = [
    JobState::Cancelled,
    JobState::Completed,
    JobState::Discarded,
];

/// A transaction that tasks are stored in. Dropped without [`commit`](Self::commit), it leaves nothing.
pub(super) enum Open<'a> {
    #[cfg(feature = "postgres")]
    Postgres(Transaction<'a, Postgres>),
    #[cfg(feature = "sqlite")]
    Sqlite(Transaction<'a, Sqlite>),
}

impl Open<'static> {
    pub(super) async fn begin(db: &Db) -> Result<Self, sqlx::Error> {
        match &db.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(database) => {
                let begun = riverqueue::database::begin_postgres(database.pool());
                Ok(Self::Postgres(begun.await?))
            }
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => {
                let begun = riverqueue::database::begin_sqlite_write(pool);
                Ok(Self::Sqlite(begun.await?))
            }
        }
    }
}

impl Open<'_> {
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.commit().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.commit().await,
        }
    }

    async fn insert(
        &mut self,
        client: &Client,
        batch: InsertBatch,
    ) -> Result<Vec<InsertBatchResult>, Error> {
        let insert = client.insert_batch(batch);
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => insert.tx(transaction).await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => insert.tx(transaction).await,
        }
    }

    /// Takes its unique value from a task that has ended, and returns whether it still had.
    async fn release(&mut self, db: &Db, row: i64) -> Result<bool, Error> {
        let sql = AssertSqlSafe(format!(
            "update {} set unique_key = null where id = $1 and state in ('cancelled', 'completed', 'discarded')",
            db.sql.jobs
        ));
        let released = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => {
                let query = sqlx::query(sql).bind(row);
                query.execute(&mut **transaction).await?.rows_affected()
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => {
                let query = sqlx::query(sql).bind(row);
                query.execute(&mut **transaction).await?.rows_affected()
            }
        };
        Ok(released > 0)
    }
}

/// Stores all of them, in their order but for the unique ones, which come last.
pub(super) async fn insert(
    db: &Db,
    into: &mut Open<'_>,
    tasks: &[Stored],
) -> Result<Vec<Kept>, Error> {
    let client = db.client();
    let mut plain = InsertBatch::new();
    for task in tasks.iter().filter(|task| task.unique.is_none()) {
        let (put, opts) = row(task, None)?;
        plain.push_with(put, opts);
    }
    if !plain.is_empty() {
        into.insert(client, plain).await?;
    }
    let mut kept = Vec::with_capacity(tasks.len());
    for task in tasks {
        kept.push(match &task.unique {
            None => Kept::Stored,
            Some(unique) => insert_unique(db, client, into, task, unique).await?,
        });
    }
    Ok(kept)
}

/// Takes a slot that is free, beginning at any of them, so that most tasks find one at the first try.
async fn insert_unique(
    db: &Db,
    client: &Client,
    into: &mut Open<'_>,
    task: &Stored,
    unique: &Unique,
) -> Result<Kept, Error> {
    let slots = unique.slots.max(1);
    let first = fastrand::u32(..slots);
    let mut holder = None;
    for slot in (first..slots).chain(0..first) {
        // The second time, the slot has just been freed of a task that had it for long enough.
        for _ in 0..2 {
            let (put, opts) = row(task, Some((unique, slot)))?;
            let mut batch = InsertBatch::new();
            batch.push_with(put, opts);
            let inserted = into.insert(client, batch).await?.pop();
            let Some(inserted) = inserted.filter(|row| row.unique_skipped_as_duplicate) else {
                return Ok(Kept::Stored);
            };
            let found = Metadata::of_row(&inserted.job).bg;
            let is_over = inserted.job.finalized_at.is_some()
                && found.until.is_none_or(|until| until <= now());
            if !is_over || !into.release(db, inserted.job.id).await? {
                holder.get_or_insert(found.id);
                break;
            }
        }
    }
    Ok(Kept::Taken(holder))
}

fn now() -> i64 {
    metadata::millis(std::time::SystemTime::now())
}

fn row(task: &Stored, slot: Option<(&Unique, u32)>) -> Result<(Put, InsertOpts), Error> {
    let mut metadata = JobMetadata::default();
    metadata.insert("bg", Bg::of(task))?;
    let attempts = task.runs.max(1).saturating_add(LOSSES);
    let attempts = i16::try_from(attempts).unwrap_or(i16::MAX);
    let mut opts = InsertOpts::default()
        .with_max_attempts(attempts.into())
        .with_metadata(metadata)
        .with_priority(task.priority.clamp(1, 4).into())
        .with_queue(task.queue.clone());
    if let Some(due) = task.due.filter(|due| *due > std::time::SystemTime::now()) {
        opts = opts.with_scheduled_at(Timestamp::try_from(due).unwrap_or(Timestamp::MAX));
    }
    if let Some((unique, _)) = slot {
        let mut states = UNFINISHED.to_vec();
        if unique.period.is_some() {
            states.extend(FINISHED);
        }
        let by = UniqueOpts::new().with_by_args(true).with_by_state(states);
        opts = opts.with_unique(by);
    }
    let put = Put {
        name: task.name.to_owned(),
        args: task.arguments.clone(),
        unique: slot.map(|(unique, slot)| format!("{slot}:{}", unique.value)),
    };
    Ok((put, opts))
}
