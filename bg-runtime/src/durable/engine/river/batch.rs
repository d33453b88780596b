//! A batch of tasks into PostgreSQL, in one statement: a request waits for one round trip, however many tasks it has.
//! River takes one for each task, and three more. The rows are as River writes them; what is unique goes through River.

use std::time::{SystemTime, UNIX_EPOCH};

use riverqueue::database::SchemaName;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgExecutor};

use super::db::Db;
use super::insert::max_attempts;
use super::metadata::Bg;
use crate::durable::Stored;

/// A time beyond is later than any that PostgreSQL and River can both read. In microseconds since 1970.
const LAST: i64 = 253_402_207_200_000_000;

/// The statements, for one task and for several: to take one row out of columns costs a tenth of the whole.
#[derive(Debug, Default)]
pub(super) struct Statements {
    one: String,
    several: String,
}

impl Statements {
    pub(super) fn new(schema: &SchemaName) -> Self {
        let insert = |from: &str| {
            format!(
                "insert into {} (args, kind, max_attempts, metadata, priority, queue, scheduled_at, state)
                 select args, kind, max_attempts, metadata, priority, queue,
                     coalesce(to_timestamp(due::double precision / 1000000), now()),
                     (case when due is null then 'available' else 'scheduled' end)::{}
                 from {from} as task (args, kind, max_attempts, metadata, priority, queue, due)",
                schema.qualify("river_job"),
                schema.qualify("river_job_state"),
            )
        };
        Self {
            one: insert(
                "(values ($1::jsonb, $2::text, $3::smallint, $4::jsonb, $5::smallint, $6::text, $7::bigint))",
            ),
            several: insert(
                "unnest($1::jsonb[], $2::text[], $3::smallint[], $4::jsonb[], $5::smallint[], $6::text[], $7::bigint[])",
            ),
        }
    }
}

/// The metadata of a row.
#[derive(serde::Serialize)]
struct RowMetadata {
    bg: Bg,
}

struct NewRow<'a> {
    args: Json<&'a RawValue>,
    kind: &'a str,
    max_attempts: i16,
    metadata: Json<RowMetadata>,
    priority: i16,
    queue: &'a str,
    due: Option<i64>,
}

impl<'a> NewRow<'a> {
    fn of(task: &'a Stored, now: SystemTime) -> Self {
        Self {
            args: Json(&task.arguments),
            kind: task.name,
            max_attempts: max_attempts(task),
            metadata: Json(RowMetadata { bg: Bg::of(task) }),
            priority: i16::from(task.priority.clamp(1, 4)),
            queue: &task.queue,
            due: task.later_than(now).map(micros),
        }
    }
}

/// Stores all of them, in their order, or none.
pub(super) async fn insert(
    db: &Db,
    into: impl PgExecutor<'_>,
    tasks: &[&Stored],
) -> Result<(), sqlx::Error> {
    let now = SystemTime::now();
    let statements = &db.sql.insert;
    let inserted = if let [task] = tasks {
        let row = NewRow::of(task, now);
        sqlx::query(AssertSqlSafe(&*statements.one))
            .bind(row.args)
            .bind(row.kind)
            .bind(row.max_attempts)
            .bind(row.metadata)
            .bind(row.priority)
            .bind(row.queue)
            .bind(row.due)
            .execute(into)
            .await
    } else {
        let rows: Vec<_> = tasks.iter().map(|task| NewRow::of(task, now)).collect();
        macro_rules! column {
            ($field:ident) => {
                rows.iter().map(|row| &row.$field).collect::<Vec<_>>()
            };
        }
        sqlx::query(AssertSqlSafe(&*statements.several))
            .bind(column!(args))
            .bind(column!(kind))
            .bind(column!(max_attempts))
            .bind(column!(metadata))
            .bind(column!(priority))
            .bind(column!(queue))
            .bind(column!(due))
            .execute(into)
            .await
    };
    inserted.map(drop)
}

fn micros(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(LAST).min(LAST)
}
