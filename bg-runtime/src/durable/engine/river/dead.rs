//! Telling of the dead, once: the row says who was told of which attempt.

use std::time::Duration;

use riverqueue::jiff::Timestamp;

use super::db::{Bind, Db, Pool, fetch, fetch_once};
use super::dialect::Columns;
use super::row;
use crate::durable::TaskStatus;
use crate::durable::error::StoreError;
use crate::task::TaskId;

/// Claims the telling, so that of several workers one tells.
pub(super) async fn claim(
    db: &Db,
    limit: u32,
    again_after: Duration,
) -> Result<Vec<TaskStatus>, StoreError> {
    let words = &db.sql;
    let now = Timestamp::now().as_millisecond();
    let stale = now.saturating_sub(i64::try_from(again_after.as_millis()).unwrap_or(i64::MAX));
    let (told, telling, set, lock) = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => (
            "coalesce((metadata->'bg'->>'told')::bigint, 0)",
            "coalesce((metadata->'bg'->>'telling')::bigint, 0)",
            "jsonb_set(metadata, '{bg,telling}', to_jsonb($1::bigint))",
            "for update skip locked",
        ),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => (
            "coalesce(json_extract(metadata, '$.bg.told'), 0)",
            "coalesce(json_extract(metadata, '$.bg.telling'), 0)",
            "jsonb_set(metadata, '$.bg.telling', $1)",
            "",
        ),
    };
    let sql = format!(
        "update {jobs} set metadata = {set} where id in (
            select id from {jobs} where state = 'discarded' and {task_id} is not null and {told} < attempt
                and {telling} <= $2
            order by id limit {limit} {lock})
         returning {columns}",
        jobs = words.jobs,
        task_id = words.task_id,
        columns = words.columns,
    );
    let rows = fetch_once!(db, Columns, sql, vec![Bind::Int(now), Bind::Int(stale)])?;
    Ok(rows.into_iter().map(row::status).collect())
}

pub(super) async fn note_told(db: &Db, tasks: &[TaskId]) -> Result<(), StoreError> {
    let words = &db.sql;
    let (set, ids) = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => (
            "jsonb_set(metadata #- '{bg,telling}', '{bg,told}', to_jsonb(attempt))",
            super::due::POSTGRES_IDS,
        ),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => (
            "jsonb_set(jsonb_remove(metadata, '$.bg.telling'), '$.bg.told', attempt)",
            super::due::SQLITE_IDS,
        ),
    };
    let sql = format!(
        "update {} set metadata = {set} where {} in ({ids}) returning id, kind",
        words.jobs, words.task_id,
    );
    fetch!(db, (i64, String), sql, vec![super::due::ids(tasks)])?;
    Ok(())
}
