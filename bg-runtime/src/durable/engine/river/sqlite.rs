//! Opening a file of SQLite.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use riverqueue::migrate::{MIGRATION_VERSION_LATEST, SqliteMigrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

use super::advice::{explained, explained_migration};
use super::db::{ACQUIRE, Db, Pool};
use super::dialect::Dialect;
use super::failure::is_away;
use super::{events, fence};
use crate::durable::error::StartError;
use crate::durable::settings::StoreSettings;
use crate::task::BoxError;

/// How long a connection waits for another one that writes.
const BUSY: Duration = Duration::from_secs(10);

/// More would only wait for each other, as one writes at a time.
const CONNECTIONS: u32 = 4;

/// What is ours in the file. The table says until when somebody listens to what happens. The second index stays empty,
/// and has SQLite refuse arguments that are no JSON, as the first does for metadata: where there is one such row, River
/// can read none.
pub(super) const EXTRAS: &str = "
    create index if not exists bg_task_id on river_job (json_extract(metadata, '$.bg.id'));
    create index if not exists bg_is_json on river_job (id) where json_type(args) is null;
    create table if not exists bg_listener (id text primary key, until text not null);";

/// Returns how every connection to the file is made.
pub(super) fn options(path: &Path, settings: &StoreSettings) -> SqliteConnectOptions {
    // As an absolute path, no file has the name of a database in memory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(settings.migrate)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
}

pub(super) async fn open(
    path: &Path,
    settings: &StoreSettings,
    worker: &str,
    store: &str,
) -> Result<Db, StartError> {
    let unreachable = |error: BoxError| StartError::Unreachable {
        store: store.to_owned(),
        error: error.into(),
    };
    look_for(path, settings).map_err(|error| match error {
        Missing::Directory(directory) => {
            unreachable(format!("there is no directory {}", directory.display()).into())
        }
        Missing::IsDirectory => unreachable("it is a directory: name a file in it".into()),
        Missing::File => StartError::OlderSchema {
            store: store.to_owned(),
        },
    })?;
    let options = options(path, settings);
    let first = first_connection(&options)
        .await
        .map_err(|error| unreachable(explained(error)))?;
    prepare(&first, settings, store).await?;
    is_writable(&first)
        .await
        .map_err(|error| unreachable(explained(error)))?;
    first.close().await;

    let (worker, lease, fenced) = (worker.to_owned(), settings.lease, settings.fence);
    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        // A file does not go away as a server does.
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(is_without_transaction(connection)))
        .after_connect(move |connection, _| {
            let worker = worker.clone();
            Box::pin(async move { add_triggers(connection, &worker, lease, fenced).await })
        })
        .connect_lazy_with(options);
    // The tables are there now, so that the first connection finds what it watches.
    let connected = pool.acquire().await;
    connected.map_err(|error| unreachable(explained(error)))?;
    let db = Db::new(Pool::Sqlite(pool), Dialect::sqlite());
    db.map_err(|error| unreachable(error.into()))
}

/// What can only be read is found out now, and not by the first task that is to be stored.
async fn is_writable(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    // Beside a log that somebody has left, a transaction alone begins on a disk that only reads.
    let change = "begin immediate; create table bg_is_writable (id); rollback";
    match sqlx::raw_sql(change).execute(pool).await {
        // Somebody writes.
        Err(error) if is_busy(&error) => Ok(()),
        tried => tried.map(drop),
    }
}

enum Missing {
    Directory(PathBuf),
    IsDirectory,
    File,
}

/// SQLite only says that it cannot open the file.
fn look_for(path: &Path, settings: &StoreSettings) -> Result<(), Missing> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    match directory.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Missing::Directory(directory.to_owned()));
        }
        _ => {}
    }
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(Missing::IsDirectory),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !settings.migrate => {
            Err(Missing::File)
        }
        _ => Ok(()),
    }
}

/// The mode of the file is set by the first of several processes, and for that SQLite does not wait by itself.
async fn first_connection(options: &SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    let begun = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY * 2)
            .connect_with(options.clone())
            .await;
        match pool {
            Err(error) if is_busy(&error) && begun.elapsed() < BUSY => pause().await,
            pool => return pool,
        }
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return false;
    };
    let code = error.code().and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|code| code & 0xFF), Some(5 | 6))
}

async fn pause() {
    let millis = fastrand::u64(10..50);
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Creates what is missing, or says that something is.
async fn prepare(
    pool: &SqlitePool,
    settings: &StoreSettings,
    store: &str,
) -> Result<(), StartError> {
    let migration = |error: BoxError| StartError::Migration {
        store: store.to_owned(),
        error: error.into(),
    };
    let migrator = SqliteMigrator::new(pool.clone());
    let is_valid = async || match migrator.validate(None).await {
        Ok(found) => Ok(found.is_valid()),
        Err(riverqueue::migrate::Error::Database(error)) if is_away(&error) => {
            Err(StartError::Unreachable {
                store: store.to_owned(),
                error: explained(error).into(),
            })
        }
        // Not even the list of migrations can be read: this is no database, or one of something else.
        Err(error) => Err(StartError::IncompatibleSchema {
            store: store.to_owned(),
            error: explained_migration(error).into(),
        }),
    };
    if !settings.migrate {
        if !is_valid().await? {
            return Err(StartError::OlderSchema {
                store: store.to_owned(),
            });
        }
        return warn_of_newer(&migrator, store).await;
    }
    // Processes that start at once get into each other's way. Each step is a transaction, so one of them succeeds, and
    // the others find it done when they look again.
    let mut tries = 0;
    while !is_valid().await? {
        tries += 1;
        if let Err(error) = migrator.migrate_up().await {
            if tries == 50 {
                return Err(migration(explained_migration(error)));
            }
            pause().await;
        }
    }
    warn_of_newer(&migrator, store).await?;
    let added = sqlx::raw_sql(EXTRAS).execute(pool).await;
    added.map(drop).map_err(|error| migration(explained(error)))
}

async fn warn_of_newer(migrator: &SqliteMigrator, store: &str) -> Result<(), StartError> {
    let versions = migrator.existing_versions().await.unwrap_or_default();
    super::warn_of_newer(&versions, MIGRATION_VERSION_LATEST, store);
    Ok(())
}

/// Gives up a connection that believes to be in a transaction. SQLite ends one by itself where a disk is full or fails,
/// and sqlx, which does not know, refuses every other from then on.
async fn is_without_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Behind the end of a transaction that was dropped.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

async fn add_triggers(
    connection: &mut SqliteConnection,
    worker: &str,
    lease: Duration,
    fenced: bool,
) -> Result<(), sqlx::Error> {
    let listens: bool = sqlx::query_scalar(
        "select exists (select 1 from main.sqlite_master where name = 'bg_listener')",
    )
    .fetch_one(&mut *connection)
    .await?;
    let mut triggers = String::new();
    if fenced {
        triggers += &fence::sqlite_triggers(worker, lease);
    }
    if listens {
        triggers += events::SQLITE_TRIGGER;
    }
    sqlx::raw_sql(sqlx::AssertSqlSafe(triggers))
        .execute(connection)
        .await?;
    Ok(())
}
