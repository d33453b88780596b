//! Storing tasks: a batch in one transaction, our own or a part of the caller's.

use riverqueue::jiff::Timestamp;
use riverqueue::{
    Client, Error, InsertBatch, InsertBatchResult, InsertOpts, JobMetadata, JobState, UniqueOpts,
};
#[cfg(feature = "postgres")]
use sqlx::Postgres;
#[cfg(feature = "sqlite")]
use sqlx::Sqlite;
use sqlx::{AssertSqlSafe, Connection as _, Transaction};

#[cfg(feature = "postgres")]
use super::batch;
use super::db::{Db, Pool};
use super::kinds::PutJob;
use super::metadata::{self, Bg, Metadata};
#[cfg(feature = "postgres")]
use super::wake;
use crate::durable::{Kept, MOST_LOSSES, Stored, Unique};

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
    /// Begins a part that can be rolled back alone.
    async fn nested(&mut self) -> Result<Open<'_>, sqlx::Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => Ok(Open::Postgres(transaction.begin().await?)),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => Ok(Open::Sqlite(transaction.begin().await?)),
        }
    }

    async fn rollback(self) -> Result<(), sqlx::Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => transaction.rollback().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(transaction) => transaction.rollback().await,
        }
    }

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

    /// Stores tasks of which there may be any number.
    async fn insert_plain(&mut self, db: &Db, tasks: &[&Stored]) -> Result<(), Error> {
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(transaction) => {
                batch::insert(db, &mut **transaction, tasks).await?;
                let now = std::time::SystemTime::now();
                let due = tasks.iter().filter(|task| task.later_than(now).is_none());
                let queues = due.map(|task| &*task.queue);
                Ok(wake::wake_later(db, &mut *transaction, queues).await?)
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => {
                let mut batch = InsertBatch::new();
                for task in tasks {
                    let (put, opts) = row(task, None)?;
                    batch.push_with(put, opts);
                }
                self.insert(db.client(), batch).await.map(drop)
            }
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

/// Stores all of them where one statement can.
#[cfg(feature = "postgres")]
pub(super) async fn insert_at_once(db: &Db, tasks: &[Stored]) -> Option<Result<(), sqlx::Error>> {
    let plain: Vec<_> = tasks.iter().filter(|task| task.unique.is_none()).collect();
    if plain.len() < tasks.len() {
        return None;
    }
    match &db.pool {
        Pool::Postgres(database) => Some(batch::insert(db, database.pool(), &plain).await),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => None,
    }
}

/// Stores all of them, in their order but for the unique ones, which come last.
pub(super) async fn insert(
    db: &Db,
    into: &mut Open<'_>,
    tasks: &[Stored],
) -> Result<Vec<Kept>, Error> {
    let client = db.client();
    let plain: Vec<_> = tasks.iter().filter(|task| task.unique.is_none()).collect();
    if !plain.is_empty() {
        into.insert_plain(db, &plain).await?;
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
    let count = unique.slots.max(1);
    let first = fastrand::u32(..count);
    let slots = (first..count).chain(0..first);
    let mut holder = None;
    #[cfg(feature = "postgres")]
    let slots = match into {
        Open::Postgres(transaction) if count > 1 => {
            let mut slots: Vec<_> = slots.collect();
            let taken = slots::taken(db, transaction, unique, &slots).await?;
            slots.retain(|slot| !taken.contains_key(slot));
            holder = taken.into_values().next().flatten();
            slots
        }
        Open::Postgres(_) => slots.collect(),
        #[cfg(feature = "sqlite")]
        Open::Sqlite(_) => slots.collect(),
    };
    for slot in slots {
        match take_slot(db, client, into, task, (unique, slot)).await? {
            Kept::Stored => return Ok(Kept::Stored),
            Kept::Taken(id) => holder = holder.or(id),
        }
    }
    Ok(Kept::Taken(holder))
}

async fn take_slot(
    db: &Db,
    client: &Client,
    into: &mut Open<'_>,
    task: &Stored,
    slot: (&Unique, u32),
) -> Result<Kept, Error> {
    // The second time, the slot has just been freed of a task that had it for long enough.
    let mut is_freed = false;
    loop {
        let (put, opts) = row(task, Some(slot))?;
        let mut batch = InsertBatch::new();
        batch.push_with(put, opts);
        // River locks the row that has the slot. Two that store would wait for what the other one has locked, if it
        // stayed locked while they try the next.
        let mut attempt = into.nested().await?;
        let inserted = attempt.insert(client, batch).await?.pop();
        let Some(inserted) = inserted.filter(|row| row.unique_skipped_as_duplicate) else {
            attempt.commit().await?;
            return Ok(Kept::Stored);
        };
        attempt.rollback().await?;
        let found = Metadata::of_row(&inserted.job).bg;
        let is_over =
            inserted.job.finalized_at.is_some() && found.until.is_none_or(|until| until <= now());
        if is_freed || !is_over || !into.release(db, inserted.job.id).await? {
            return Ok(Kept::Taken(Some(found.id)));
        }
        is_freed = true;
    }
}

fn now() -> i64 {
    metadata::millis(std::time::SystemTime::now())
}

fn row(task: &Stored, slot: Option<(&Unique, u32)>) -> Result<(PutJob, InsertOpts), Error> {
    let mut metadata = JobMetadata::default();
    metadata.insert("bg", Bg::of(task))?;
    let mut opts = InsertOpts::default()
        .with_max_attempts(max_attempts(task).into())
        .with_metadata(metadata)
        .with_priority(task.priority.clamp(1, 4).into())
        .with_queue(task.queue.clone());
    if let Some(due) = task.later_than(std::time::SystemTime::now()) {
        opts = opts.with_scheduled_at(Timestamp::try_from(due).unwrap_or(Timestamp::MAX));
    }
    if let Some((unique, _)) = slot {
        opts = opts.with_unique(unique_opts(unique));
    }
    let put = PutJob {
        name: task.name.to_owned(),
        args: task.arguments.clone(),
        unique: slot.map(|(unique, slot)| slot_value(unique, slot)),
    };
    Ok((put, opts))
}

/// How often River lets a task begin.
pub(super) fn max_attempts(task: &Stored) -> i16 {
    let attempts = task.runs.max(1).saturating_add(MOST_LOSSES);
    i16::try_from(attempts).unwrap_or(i16::MAX)
}

fn unique_opts(unique: &Unique) -> UniqueOpts {
    let mut states = UNFINISHED.to_vec();
    if unique.period.is_some() {
        states.extend(FINISHED);
    }
    UniqueOpts::new().with_by_args(true).with_by_state(states)
}

fn slot_value(unique: &Unique, slot: u32) -> String {
    format!("{slot}:{}", unique.value)
}

/// Which slots are taken, in one question instead of a try for each.
#[cfg(feature = "postgres")]
mod slots {
    use std::collections::HashMap;

    use riverqueue::JobArgs as _;
    use riverqueue::protocol::{UniqueKeyInput, unique_key};

    use super::*;
    use crate::task::TaskId;

    /// A key, the id of the task that has it, whether that has ended, and until when it keeps the key.
    type Holder = (Vec<u8>, Option<String>, bool, Option<i64>);

    pub(super) async fn taken(
        db: &Db,
        transaction: &mut Transaction<'_, Postgres>,
        unique: &Unique,
        slots: &[u32],
    ) -> Result<HashMap<u32, Option<TaskId>>, Error> {
        let mut keys = HashMap::with_capacity(slots.len());
        for slot in slots {
            if let Some(key) = key(unique, *slot)? {
                keys.insert(key.to_vec(), *slot);
            }
        }
        // As the index on the keys has it, so that it is used.
        let sql = format!(
            "select unique_key, {}, finalized_at is not null, (metadata->'bg'->>'until')::bigint from {}
             where unique_key = any($1) and unique_states is not null and {}(unique_states, state)",
            db.sql.task_id, db.sql.jobs, db.sql.in_states
        );
        let rows: Vec<Holder> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(keys.keys().cloned().collect::<Vec<_>>())
            .fetch_all(&mut **transaction)
            .await?;
        let taken = rows.into_iter().filter_map(|(key, id, has_ended, until)| {
            let is_free = has_ended && until.is_none_or(|until| until <= now());
            let slot = keys.get(&key).filter(|_| !is_free)?;
            Some((*slot, id.and_then(|id| id.parse().ok())))
        });
        Ok(taken.collect())
    }

    /// Returns what River makes of a slot's [`PutJob`].
    fn key(unique: &Unique, slot: u32) -> Result<Option<[u8; 32]>, Error> {
        let put = serde_json::json!({"unique": slot_value(unique, slot)});
        unique_key(&UniqueKeyInput {
            encoded_args: &riverqueue::encoding::encode_args(&put)?,
            kind: PutJob::KIND,
            now: Timestamp::now(),
            opts: &unique_opts(unique),
            queue: "",
            scheduled_at: None,
            unique_fields: PutJob::unique_fields(),
        })
    }
}
