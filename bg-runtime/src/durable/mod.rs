//! Durable tasks: where they are stored, and how to look at them.
//!
//! A task that is declared as `durable` is stored before anybody is told that it will run, survives the process, and may
//! run in another. The [store](Store) is given to
//! [`BackgroundBuilder::durable`](crate::BackgroundBuilder::durable): `Sqlite::file(..)` with the feature `sqlite`,
//! `Postgres::url(..)` with `postgres`, and in tests [`Memory`].

// Knows no request and no runner: a worker is given what it takes as `Claimed`, and hands it to a `Desk`.
//
//     Stored ──> OpenStore ──> Engine ──> Claimed ──> Desk ──> Verdict ──> Engine
//                the limits    who keeps it            who runs it

mod desk;
mod ends;
mod engine;
mod envelope;
mod error;
mod migration_sql;
mod open_store;
#[cfg(feature = "postgres")]
mod postgres;
mod put;
mod query;
#[cfg(feature = "redis")]
mod redis;
mod run_failure;
mod settings;
#[cfg(feature = "sqlite")]
mod sqlite;
mod status;
mod store;
mod stored;
mod stored_progress;
mod stored_queue;
mod stored_task;
mod stored_tasks;

pub use crate::secret_key::SecretKey;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::engine::InTransaction;
pub use self::error::{EnqueueError, LookError, StartError};
pub use self::migration_sql::MigrationSql;
#[cfg(feature = "postgres")]
pub use self::postgres::Postgres;
#[cfg(feature = "redis")]
pub use self::redis::Redis;
#[cfg(feature = "sqlite")]
pub use self::sqlite::Sqlite;
pub use self::status::{StoredError, StoredState, TaskStatus};
pub use self::store::{Queue, Store};
pub use self::stored_progress::StoredProgress;
pub use self::stored_queue::StoredQueue;
pub use self::stored_task::{StoredFailure, StoredTask};
pub use self::stored_tasks::{Cancelled, Cursor, Page, StoredTasks};

pub(crate) use self::desk::Desk;
pub(crate) use self::ends::Ends;
pub use self::engine::Memory;
pub(crate) use self::engine::{StoreTransaction, Tally};
pub(crate) use self::envelope::Envelope;
pub(crate) use self::open_store::OpenStore;
#[cfg(all(test, shuttle))]
pub(crate) use self::query::{Obeyed, Order, Query};
pub(crate) use self::run_failure::RunFailure;
pub(crate) use self::stored::{Claimed, Kept, MOST_LOSSES, Stored, Unique, Verdict};
