//! Tasks that are due later: at a time, after a failure, or when something has happened.
//!
//! River has its leader make them available. If that is killed, they would stand still until its term is over, which
//! takes up to twenty seconds. So each worker does it for the queues that it looks at.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::{Duration, SystemTime};

use super::db::{Bind, Db, Pool, fetch};
use super::order::Orders;
use super::wake::Waker;
use crate::durable::error::StoreError;
use crate::task::TaskId;

/// The elements of a list of ids, which is the first parameter.
#[cfg(feature = "postgres")]
pub(super) const POSTGRES_IDS: &str = "select jsonb_array_elements_text($1::jsonb)";
#[cfg(feature = "sqlite")]
pub(super) const SQLITE_IDS: &str = "select value from json_each($1)";

/// A list of ids as a parameter.
pub(super) fn ids(tasks: &[TaskId]) -> Bind {
    Bind::Text(serde_json::to_string(tasks).unwrap_or_default())
}

/// Has tasks that wait be due at this time.
pub(super) async fn postpone(db: &Db, tasks: &[TaskId], due: SystemTime) -> Result<(), StoreError> {
    let due = due
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let due = Bind::Int(i64::try_from(due.as_millis()).unwrap_or(i64::MAX));
    let (at, ids) = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => ("to_timestamp($2::bigint / 1000.0)", POSTGRES_IDS),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => (
            "strftime('%Y-%m-%d %H:%M:%f', $2 / 1000.0, 'unixepoch')",
            SQLITE_IDS,
        ),
    };
    let sql = format!(
        "update {} set state = 'scheduled', scheduled_at = {at}
         where {} in ({ids}) and state in ('available', 'scheduled') returning id, kind",
        db.sql.jobs, db.sql.task_id,
    );
    fetch!(db, (i64, String), sql, vec![self::ids(tasks), due])?;
    Ok(())
}

/// Has tasks that are scheduled be due now.
pub(super) async fn release(db: &Db, tasks: &[TaskId]) -> Result<Orders, StoreError> {
    let ids = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => POSTGRES_IDS,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => SQLITE_IDS,
    };
    let words = &db.sql;
    let sql = format!(
        "update {} set state = 'available', scheduled_at = {}
         where {} in ({ids}) and state = 'scheduled' returning id, {}, queue, {}",
        words.jobs, words.now, words.task_id, words.state, words.task_id,
    );
    let released = fetch!(db, super::order::Done, sql, vec![self::ids(tasks)])?;
    Orders::woken(db, released).await
}

/// How often a worker looks for what is due.
const LOOK: Duration = Duration::from_secs(1);

/// How long a look may take: its connection may be dead without a word.
const ANSWER: Duration = Duration::from_secs(5);

/// How many are made available at once.
const AT_ONCE: usize = 1_000;

/// Makes available what is due, again and again, and wakes the worker of this process.
pub(super) async fn keep_up(db: &Db, queues: &[String], waker: &Waker) -> Infallible {
    loop {
        // If it fails, so do the fetches of River, which tells the log of that.
        let due = tokio::time::timeout(ANSWER, make_available(db, queues)).await;
        let due = due.ok().and_then(Result::ok).unwrap_or_default();
        let woken: BTreeSet<_> = due.iter().map(|(queue,)| &**queue).collect();
        waker.wake(woken.into_iter());
        if due.len() < AT_ONCE {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Returns their queues. Those of other clients of River are left to its leader, which ends them if their unique value
/// is taken meanwhile; ours have it all the time.
async fn make_available(db: &Db, queues: &[String]) -> Result<Vec<(String,)>, StoreError> {
    let (jobs, now) = (&db.sql.jobs, db.sql.now);
    let queues = Bind::Text(serde_json::to_string(queues).unwrap_or_default());
    // By all columns of the index that the fetches use, so that what is due later costs nothing.
    let due = format!(
        "scheduled_at <= {now} and state in ('retryable', 'scheduled') and priority in (1, 2, 3, 4)"
    );
    let sql = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => format!(
            "with due as (
                 select id from {jobs} where {due} and metadata ? 'bg'
                     and queue = any (array(select jsonb_array_elements_text($1::jsonb)))
                 limit {AT_ONCE} for update skip locked)
             update {jobs} as job set state = 'available' from due where job.id = due.id returning job.queue"
        ),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => {
            let due = format!(
                "select id, queue from {jobs} where {due} and queue in (select value from json_each($1))
                     and json_extract(metadata, '$.bg') is not null limit {AT_ONCE}"
            );
            // Whoever only looks takes no lock.
            let found = fetch!(db, (i64, String), due.clone(), vec![queues.clone()])?;
            if found.is_empty() {
                return Ok(Vec::new());
            }
            format!(
                "update {jobs} set state = 'available' where id in (select id from ({due})) returning queue"
            )
        }
    };
    Ok(fetch!(db, (String,), sql, vec![queues])?)
}
