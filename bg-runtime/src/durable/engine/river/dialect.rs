//! The words in which the SQL of the two databases differs. Parameters are `$1`, `$2` in both.

/// A column of a row, for [`Dialect::columns`], in its order: `id, kind, state, queue, attempt, max_attempts, args,
/// metadata, errors, worker, created_at, scheduled_at, attempted_at, finalized_at`, times in milliseconds since 1970.
pub(super) type Columns = (
    i64,
    String,
    String,
    String,
    i64,
    i64,
    String,
    String,
    Option<String>,
    Option<String>,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);

#[derive(Debug)]
pub(super) struct Dialect {
    /// The tables, with their schema.
    pub(super) jobs: String,
    pub(super) queues: String,
    #[cfg(feature = "postgres")]
    pub(super) insert: super::batch::Statements,
    /// The function that says whether a state is among those of a unique value.
    #[cfg(feature = "postgres")]
    pub(super) in_states: String,
    pub(super) columns: &'static str,
    pub(super) now: &'static str,
    pub(super) task_id: &'static str,
    pub(super) key: &'static str,
    /// How many runs have failed or lost their worker.
    pub(super) errors: &'static str,
    /// The worker that has claimed the row last.
    pub(super) worker: &'static str,
    pub(super) state: &'static str,
    /// Milliseconds since the row was due.
    pub(super) waited: &'static str,
    /// Milliseconds since the worker of the row was last heard of.
    pub(super) silent: &'static str,
}

impl Dialect {
    #[cfg(feature = "postgres")]
    pub(super) fn postgres(schema: &riverqueue::database::SchemaName) -> Self {
        Self {
            jobs: schema.qualify("river_job"),
            queues: schema.qualify("river_queue"),
            insert: super::batch::Statements::new(schema),
            in_states: schema.qualify("river_job_state_in_bitmask"),
            columns: "id, kind, state::text, queue, attempt::bigint, max_attempts::bigint, args::text, metadata::text,
                to_jsonb(errors)::text, attempted_by[array_upper(attempted_by, 1)],
                (extract(epoch from created_at) * 1000)::bigint, (extract(epoch from scheduled_at) * 1000)::bigint,
                (extract(epoch from attempted_at) * 1000)::bigint, (extract(epoch from finalized_at) * 1000)::bigint",
            now: "now()",
            task_id: "metadata->'bg'->>'id'",
            key: "metadata->'bg'->>'key'",
            errors: "coalesce(array_length(errors, 1), 0)",
            worker: "attempted_by[array_upper(attempted_by, 1)]",
            state: "state::text",
            waited: "(extract(epoch from now() - scheduled_at) * 1000)::bigint",
            silent: "(extract(epoch from now() - attempted_at) * 1000)::bigint",
        }
    }

    #[cfg(feature = "sqlite")]
    pub(super) fn sqlite() -> Self {
        macro_rules! millis {
            ($column:literal) => {
                concat!(
                    "cast(round((julianday(",
                    $column,
                    ") - 2440587.5) * 86400000.0) as integer)"
                )
            };
        }
        Self {
            jobs: "river_job".to_owned(),
            queues: "river_queue".to_owned(),
            #[cfg(feature = "postgres")]
            insert: Default::default(),
            #[cfg(feature = "postgres")]
            in_states: String::new(),
            columns: concat!(
                "id, kind, state, queue, attempt, max_attempts, json(args), json(metadata), json(errors),
                 json_extract(attempted_by, '$[#-1]'), ",
                millis!("created_at"),
                ", ",
                millis!("scheduled_at"),
                ", ",
                millis!("attempted_at"),
                ", ",
                millis!("finalized_at")
            ),
            now: "strftime('%Y-%m-%d %H:%M:%f', 'now')",
            task_id: "json_extract(metadata, '$.bg.id')",
            key: "json_extract(metadata, '$.bg.key')",
            errors: "coalesce(json_array_length(errors), 0)",
            worker: "json_extract(attempted_by, '$[#-1]')",
            state: "state",
            waited: "cast(round((julianday('now') - julianday(scheduled_at)) * 86400000.0) as integer)",
            silent: "cast(round((julianday('now') - julianday(attempted_at)) * 86400000.0) as integer)",
        }
    }
}
