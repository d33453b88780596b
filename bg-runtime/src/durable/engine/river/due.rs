//! Tasks that are held until something has happened.

use std::time::SystemTime;

use super::db::{Bind, Db, Pool, fetch};
use super::order::Orders;
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
