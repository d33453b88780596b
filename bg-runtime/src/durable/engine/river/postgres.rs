//! Opening a database of PostgreSQL.

use std::time::Duration;

use riverqueue::database::{PostgresDatabase, SchemaName};
use riverqueue::migrate::{MIGRATION_VERSION_LATEST, PostgresMigrator};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgExecutor, PgPool};

use super::advice::{explained, explained_migration, forgetful};
use super::db::{ACQUIRE, Db, Pool};
use super::dialect::Dialect;
use super::pooler::{is_shared, keeps_statements, warn_if_deaf};
use super::{events, fence};
use crate::durable::error::StartError;
use crate::durable::settings::StoreSettings;
use crate::log_target::RUNTIME;
use crate::task::BoxError;

/// How long a server may take to answer at the start.
const CONNECT: Duration = Duration::from_secs(10);

/// The connections beside the pool: the two that listen, for River and for whoever waits for a task, and the heartbeat's.
const BESIDE: u32 = 3;

/// A connection that was used so lately is there. It may have been cut all the same, and then says so to the first who
/// uses it: the longer this is, the more of those there are.
const LATELY: Duration = Duration::from_millis(100);

const NO_SCHEMA: &str =
    "its `search_path` names no schema that there is: name one with `schema(..)`";

/// What a role says that may not do something.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Returns what cannot be, whatever the server says.
pub(super) fn problem(settings: &StoreSettings) -> Option<String> {
    let schema = settings.schema.as_ref()?;
    if schema.is_empty() {
        return Some(
            "`schema(..)` of the store is empty: name a schema, or leave it out".to_owned(),
        );
    }
    if schema.contains('\'') {
        // River's migrator puts it into texts as it is.
        return Some(
            "`schema(..)` of the store cannot be used: it has the character `'`".to_owned(),
        );
    }
    let error = SchemaName::new(schema).err()?;
    Some(format!("`schema(..)` of the store cannot be used: {error}"))
}

/// Returns the schema that was set, if it has no [`problem`].
pub(super) fn schema_name(settings: &StoreSettings) -> SchemaName {
    let schema = settings.schema.as_ref().map(SchemaName::new);
    schema.and_then(Result::ok).unwrap_or_default()
}

pub(super) async fn open(
    options: PgConnectOptions,
    settings: &StoreSettings,
    worker: &str,
    store: &str,
) -> Result<Db, StartError> {
    let unreachable = |error: BoxError| StartError::Unreachable {
        store: store.to_owned(),
        error: error.into(),
    };
    // Poolers refuse a connection that sets this of all things, and nothing here reads a number from a text.
    let options = options.application_name(worker).extra_float_digits(None);
    // Not by the pool, which waits where a server refuses connections.
    let first = tokio::time::timeout(CONNECT, PgConnection::connect_with(&options)).await;
    let first = first.map_err(|_| unreachable(format!("no answer within {CONNECT:?}").into()))?;
    let mut first = first.map_err(|error| unreachable(explained(error)))?;
    let found: Result<(bool, bool, Option<String>), _> = sqlx::query_as(
        "select pg_is_in_recovery(), current_setting('transaction_read_only')::boolean, current_schema()",
    )
    .fetch_one(&mut first)
    .await;
    let (is_standby, is_read_only, current) =
        found.map_err(|error| unreachable(explained(error)))?;
    if is_standby {
        let error = "it is a standby, which only reads, and tasks have to be written: give the address of the primary \
                     server";
        return Err(unreachable(error.into()));
    }
    if is_read_only {
        let error = "its transactions are read-only, and tasks have to be written: look for \
                     `default_transaction_read_only` at the role, the database and the server";
        return Err(unreachable(error.into()));
    }
    // By its name from here on, so that it is found whatever the `search_path` of a caller's transaction says.
    let schema = settings.schema.clone().or(current);
    let schema = schema.ok_or_else(|| unreachable(NO_SCHEMA.into()))?;
    let name = SchemaName::new(&schema).map_err(|error| unreachable(error.into()))?;

    let pool = PgPoolOptions::new()
        .max_connections(settings.connections.saturating_sub(BESIDE).max(2))
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, of| Box::pin(answers(connection, of.idle_for)))
        .after_release(|connection, _| Box::pin(answers_in_time(connection)))
        .connect_lazy_with(options);
    let is_shared = is_shared(&mut first, &pool).await;
    let is_shared = is_shared.map_err(|error| unreachable(explained(error)))?;
    if is_shared {
        let kept = keeps_statements(&mut first, &pool).await;
        kept.map_err(|error| unreachable(forgetful(error)))?;
    }
    let preparation = Preparation {
        pool: &pool,
        schema: &schema,
        name: &name,
        settings,
        store,
    };
    preparation.run(&mut first).await?;
    let sql = Dialect::postgres(&name);
    let table = table(&mut first, &sql.jobs).await;
    let table = table.map_err(|error| unreachable(explained(error)))?;
    let _closed = first.close().await;

    if is_shared {
        tracing::warn!(
            target: RUNTIME,
            "{store} is behind a pooler in its transaction mode, which takes notifications away: workers look for tasks \
             once in a second, who waits for the end of a task looks as often, and progress is not heard"
        );
    } else {
        let channel = format!("{schema}.{}", events::CHANNEL);
        tokio::spawn(warn_if_deaf(pool.clone(), channel, store.to_owned()));
    }
    let database = PostgresDatabase::new(pool).with_schema(name);
    let db = Db::new(Pool::Postgres(database), sql);
    let db = db.map_err(|error| unreachable(error.into()))?;
    let db = db.with_table(table);
    Ok(if is_shared { db.deaf() } else { db })
}

/// Which table of which database a name means to a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    database: String,
    /// `None` if there is none of that name.
    oid: Option<i64>,
}

impl Table {
    /// Says why a task of the store cannot be stored where this is the table.
    pub(super) fn why_not(&self) -> String {
        let database = &self.database;
        match self.oid {
            Some(_) => {
                format!(
                    "it is on another server or database, {database}, which has such tables as well"
                )
            }
            None => format!("it is on another server or database, {database}"),
        }
    }
}

/// Finds out what a name means. A schema and its tables may well be called the same in two databases.
pub(super) async fn table(of: impl PgExecutor<'_>, name: &str) -> Result<Table, sqlx::Error> {
    let sql = "select current_database()::text, to_regclass($1)::oid::bigint";
    let (database, oid) = sqlx::query_as(sql).bind(name).fetch_one(of).await?;
    Ok(Table { database, oid })
}

/// Creates the index on the ids of tasks, which is not there yet.
pub(super) fn index(schema: &SchemaName) -> String {
    let jobs = schema.qualify("river_job");
    format!("create index bg_task_id on {jobs} ((metadata->'bg'->>'id'));")
}

/// Finds out why the pool has no connection, which only says that.
pub(super) async fn why_without_connection(pool: &PgPool) -> BoxError {
    const WAIT: Duration = Duration::from_secs(1);
    let options = pool.connect_options();
    match tokio::time::timeout(WAIT, PgConnection::connect_with(&options)).await {
        Ok(Ok(connection)) => {
            // It would wait for the server's answer.
            drop(connection);
            let all = pool.size();
            format!("all of the {all} connections are in use: set more with `connections(..)`")
                .into()
        }
        Ok(Err(error)) => explained(error),
        Err(_) => format!("no answer to a new connection within {WAIT:?}").into(),
    }
}

/// Returns whether a connection of the pool is still one. Not asked of those that were used lately, so that a request
/// does not wait for the answer.
async fn answers(connection: &mut PgConnection, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if idle_for < LATELY {
        return Ok(true);
    }
    connection.ping().await.map(|()| true)
}

/// Gives up a connection whose server does not answer after whoever used it. The pool waits for that answer without a
/// limit, and where no network says that a connection is dead, it would have none left for a quarter of an hour.
async fn answers_in_time(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(ACQUIRE, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

struct Preparation<'a> {
    pool: &'a PgPool,
    schema: &'a str,
    name: &'a SchemaName,
    settings: &'a StoreSettings,
    store: &'a str,
}

/// What is ours in the schema.
struct Extras {
    has_index: bool,
    has_trigger: bool,
}

impl Preparation<'_> {
    /// Creates what is missing, or says that something is.
    async fn run(&self, first: &mut PgConnection) -> Result<(), StartError> {
        let is_current = self.is_current().await?;
        if !self.settings.migrate && !is_current {
            return Err(StartError::OlderSchema {
                store: self.store.to_owned(),
            });
        }
        if !is_current {
            self.migrate(first).await?;
        }
        let versions = self.migrator().existing_versions().await;
        super::warn_of_newer(
            &versions.map_err(|error| self.migration(explained_migration(error)))?,
            MIGRATION_VERSION_LATEST,
            self.store,
        );
        let extras = self.extras().await.map_err(|error| self.failed(error))?;
        if extras.has_index && (extras.has_trigger || !self.settings.fence) {
            return Ok(());
        }
        if self.settings.migrate {
            self.add_extras(first).await
        } else {
            self.warn_of_missing(extras.has_index, extras.has_trigger, "`migrate(false)`");
            Ok(())
        }
    }

    fn migrator(&self) -> PostgresMigrator {
        PostgresMigrator::new(self.pool.clone()).with_schema(self.name.clone())
    }

    fn migration(&self, error: BoxError) -> StartError {
        StartError::Migration {
            store: self.store.to_owned(),
            error: error.into(),
        }
    }

    fn failed(&self, error: sqlx::Error) -> StartError {
        self.migration(explained(error))
    }

    async fn is_current(&self) -> Result<bool, StartError> {
        match self.migrator().validate(None).await {
            Ok(found) => Ok(found.is_valid()),
            Err(error) => Err(StartError::Unreachable {
                store: self.store.to_owned(),
                error: explained_migration(error).into(),
            }),
        }
    }

    /// Only one process at a time: the others wait, and find it done.
    async fn migrate(&self, first: &mut PgConnection) -> Result<(), StartError> {
        let lock = self.lock(first).await;
        let lock = lock.map_err(|error| self.failed(error))?;
        let made = self.make_schema().await;
        made.map_err(|error| self.failed(error))?;
        let migrated = self.migrator().migrate_up().await;
        migrated.map_err(|error| self.migration(explained_migration(error)))?;
        lock.commit().await.map_err(|error| self.failed(error))
    }

    /// A lock of a transaction, because a pooler like PgBouncer does not keep those of a session.
    async fn lock<'c>(
        &self,
        first: &'c mut PgConnection,
    ) -> Result<sqlx::Transaction<'c, sqlx::Postgres>, sqlx::Error> {
        let mut lock = first.begin().await?;
        // Whatever its role sets: another process may take longer with tables that are large.
        sqlx::raw_sql("set local lock_timeout = '60s'; set local statement_timeout = 0")
            .execute(&mut *lock)
            .await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('bg_runtime:' || $1, 0))")
            .bind(self.schema)
            .execute(&mut *lock)
            .await?;
        Ok(lock)
    }

    async fn make_schema(&self) -> Result<(), sqlx::Error> {
        let exists: bool =
            sqlx::query_scalar("select exists (select 1 from pg_namespace where nspname = $1)")
                .bind(self.schema)
                .fetch_one(self.pool)
                .await?;
        if !exists {
            let quoted = self.name.quoted_identifier().unwrap_or_default();
            let sql = format!("create schema if not exists {quoted}");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool).await?;
        }
        Ok(())
    }

    async fn extras(&self) -> Result<Extras, sqlx::Error> {
        let (has_index, has_trigger) = sqlx::query_as(
            "select to_regclass($1) is not null,
                exists (select 1 from pg_trigger where tgname = $2 and tgrelid = to_regclass($3))",
        )
        .bind(self.name.qualify("bg_task_id"))
        .bind(fence::TRIGGER)
        .bind(self.name.qualify("river_job"))
        .fetch_one(self.pool)
        .await?;
        Ok(Extras {
            has_index,
            has_trigger,
        })
    }

    async fn add_extras(&self, first: &mut PgConnection) -> Result<(), StartError> {
        let lock = self.lock(first).await;
        let lock = lock.map_err(|error| self.failed(error))?;
        // Another process may have added them meanwhile.
        let extras = self.extras().await.map_err(|error| self.failed(error))?;
        let has_index = extras.has_index || self.may(index(self.name)).await?;
        let prefix = self.name.quoted_identifier().unwrap_or_default() + ".";
        let has_trigger = extras.has_trigger
            || !self.settings.fence
            || self.may(fence::postgres_trigger(&prefix)).await?;
        self.warn_of_missing(has_index, has_trigger, "its role may not create it");
        lock.commit().await.map_err(|error| self.failed(error))
    }

    /// Returns whether the role may do so.
    async fn may(&self, sql: String) -> Result<bool, StartError> {
        match sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.pool).await {
            Ok(_) => Ok(true),
            Err(sqlx::Error::Database(error))
                if error.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) =>
            {
                Ok(false)
            }
            Err(error) => Err(self.failed(error)),
        }
    }

    fn warn_of_missing(&self, has_index: bool, has_trigger: bool, why: &str) {
        if !has_trigger && self.settings.fence {
            tracing::warn!(
                target: RUNTIME,
                "{} has no trigger {}, because of {why}: the outcome of a worker that was stalled for longer than its \
                 lease may count although another worker runs the task",
                self.store,
                fence::TRIGGER,
            );
        }
        if !has_index {
            tracing::warn!(
                target: RUNTIME,
                "{} has no index bg_task_id, because of {why}: looking for one task reads all of them",
                self.store,
            );
        }
    }
}

/// Listens on a connection of its own, so that none of the pool is taken for good.
pub(super) async fn listener(pool: &PgPool, channels: &[&str]) -> Result<PgListener, sqlx::Error> {
    let own = PgPoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with((*pool.connect_options()).clone());
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen_all(channels.iter().copied()).await?;
    Ok(listener)
}
