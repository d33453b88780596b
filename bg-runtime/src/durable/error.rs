use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::task::{BoxError, Chain, TaskId, TaskInfo};

/// The error of an engine.
#[derive(Debug, Clone)]
pub(crate) enum StoreError {
    /// It cannot be reached: nothing was done.
    Unreachable(Arc<dyn std::error::Error + Send + Sync>),
    /// It did not answer in time: what was asked for may have been done.
    Timeout(Duration),
    /// It refused.
    Refused(Arc<dyn std::error::Error + Send + Sync>),
    /// It has no transactions, or that one is of another.
    NoTransactions { store: String, why: String },
    /// A moment ago it could not be reached, so it was not asked.
    AskedLately(Arc<dyn std::error::Error + Send + Sync>),
}

impl StoreError {
    pub(crate) fn unreachable(error: impl Into<BoxError>) -> Self {
        Self::Unreachable(Arc::from(error.into()))
    }

    pub(crate) fn refused(error: impl Into<BoxError>) -> Self {
        Self::Refused(Arc::from(error.into()))
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => {
                write!(
                    f,
                    "the store cannot be reached: {}",
                    OneLine(Chain(&**error))
                )
            }
            Self::Timeout(after) => write!(
                f,
                "the store did not answer within {after:?}: what it was asked for may have been done all the same"
            ),
            Self::NoTransactions { store, why } => write!(
                f,
                "the tasks of {store} cannot be a part of this transaction: {why}"
            ),
            Self::Refused(error) => write!(f, "the store refused: {}", OneLine(Chain(&**error))),
            Self::AskedLately(error) => write!(
                f,
                "the store could not be reached a moment ago, and is asked again in a second: {}",
                OneLine(Chain(&**error))
            ),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for EnqueueError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Timeout(after) => Self::Timeout { after },
            StoreError::NoTransactions { store, why } => Self::NoTransactions { store, why },
            error => Self::NotStored {
                error: Arc::new(error),
            },
        }
    }
}

/// Why the store of durable tasks is not ready to work.
#[derive(Clone)]
#[non_exhaustive]
pub enum StartError {
    /// No store was given to [`BackgroundBuilder::durable`](crate::BackgroundBuilder::durable).
    NoStore,
    /// It cannot be reached.
    Unreachable {
        /// The store, without its password.
        store: String,
        /// What its client says.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Its tables could not be created or brought up to date.
    Migration {
        /// The store, without its password.
        store: String,
        /// What its client says.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Its tables are missing or of an older version, and `migrate(false)` says not to change them.
    OlderSchema {
        /// The store, without its password.
        store: String,
    },
    /// Its tables are of a version that this program cannot work with.
    IncompatibleSchema {
        /// The store, without its password.
        store: String,
        /// What is not as it should be.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// [`Background::work`](crate::Background::work) of a store that is
    /// [`enqueue_only`](super::Store::enqueue_only).
    EnqueueOnly,
    /// The `Background` was [shut down](crate::Background::shutdown), which is for good.
    ShutDown,
    /// The signal handlers could not be installed.
    Signals(Arc<std::io::Error>),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore => f.write_str(
                "there is no store to take tasks from: give one with `Background::builder().durable(..)`",
            ),
            Self::Unreachable { store, error } => {
                write!(f, "{store} cannot be reached: {}", OneLine(Chain(&**error)))
            }
            Self::Migration { store, error } => write!(
                f,
                "the tables of {store} could not be brought up to date: {}",
                OneLine(Chain(&**error))
            ),
            Self::OlderSchema { store } => write!(
                f,
                "the tables of {store} are missing or of an older version: run its migrations, or leave `migrate(false)` \
                 out so that this program does"
            ),
            Self::IncompatibleSchema { store, error } => write!(
                f,
                "this program cannot work with the tables of {store}: {}",
                OneLine(Chain(&**error))
            ),
            Self::EnqueueOnly => f.write_str(
                "the store is `enqueue_only()`, so this process cannot work: leave that out of the worker's store",
            ),
            Self::ShutDown => f.write_str(
                "this `Background` was shut down, which is for good: build another one to start again",
            ),
            Self::Signals(error) => write!(f, "the signal handlers could not be installed: {error}"),
        }
    }
}

/// Like `Display`, because a `main` that returns the error prints its `Debug`.
impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for StartError {}

/// Why the store did not tell of its tasks, or did not obey. As a response: 503 with an empty body.
#[derive(Clone)]
#[non_exhaustive]
pub enum LookError {
    /// No store was given to [`BackgroundBuilder::durable`](crate::BackgroundBuilder::durable).
    NoStore,
    /// The store cannot be reached, did not answer in time, or refused.
    Store {
        /// What its client says.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl From<StoreError> for LookError {
    fn from(error: StoreError) -> Self {
        Self::Store {
            error: Arc::new(error),
        }
    }
}

impl fmt::Display for LookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore => f.write_str(
                "there is no store of durable tasks: give one with `Background::builder().durable(..)`",
            ),
            Self::Store { error } => error.fmt(f),
        }
    }
}

/// Like `Display`, because a `main` that returns the error prints its `Debug`.
impl fmt::Debug for LookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for LookError {}

impl IntoResponse for LookError {
    fn into_response(self) -> Response {
        tracing::error!(target: RUNTIME, "{self}");
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    }
}

/// Why a durable task was not stored.
///
/// As a response, with an empty body: 503 where the store is the reason, 429 for [`TooMany`](Self::TooMany), 409 for
/// [`Duplicate`](Self::Duplicate), 413 for [`TooLarge`](Self::TooLarge), and 500 where the program is. What becomes a
/// response is logged: as an error of the service, but for 429 and 409, which are of level `DEBUG`.
#[derive(Clone)]
#[non_exhaustive]
pub enum EnqueueError {
    /// No store was given to [`BackgroundBuilder::durable`](crate::BackgroundBuilder::durable).
    NoStore {
        /// The task.
        task: TaskInfo,
    },
    /// The task is not declared as `durable`.
    NotDurable {
        /// The task.
        task: TaskInfo,
    },
    /// The store could not be reached, or refused. Nothing was stored.
    NotStored {
        /// What its client says.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The store did not answer in time. The task may have been stored all the same.
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// There are as many unfinished tasks of this key as may be.
    TooMany {
        /// The task.
        task: TaskInfo,
        /// Its key.
        key: String,
        /// How many may be unfinished at once.
        limit: u32,
    },
    /// The task is unique, and there is one like it that is unfinished, or that was stored less than its
    /// [`unique_for`](crate::TaskExt::unique_for) ago.
    Duplicate {
        /// The task.
        task: TaskInfo,
        /// The id of the other one, where the store knows it.
        existing: Option<TaskId>,
    },
    /// Its arguments are larger than [`max_payload`](super::Store::max_payload).
    TooLarge {
        /// The task.
        task: TaskInfo,
        /// Of its arguments as JSON, in bytes.
        size: usize,
        /// In bytes.
        limit: usize,
    },
    /// One of its arguments cannot be stored.
    Arguments {
        /// The task.
        task: TaskInfo,
        /// Which, and why.
        error: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The engine has no transactions, or the transaction is of another one: of another engine, file, server or
    /// database.
    NoTransactions {
        /// The store, without its password.
        store: String,
        /// Why it cannot be.
        why: String,
    },
}

impl fmt::Display for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore { task } => write!(
                f,
                "there is no store for {task}: give one with `Background::builder().durable(..)`"
            ),
            Self::NotDurable { task } => write!(
                f,
                "{task} is not durable: declare it with `#[background_task(durable, name = \"..\")]`, or run it with \
                 `spawn`"
            ),
            Self::NotStored { error } => fmt::Display::fmt(error, f),
            Self::Timeout { after } => StoreError::Timeout(*after).fmt(f),
            Self::TooMany { task, key, limit } => write!(
                f,
                "{task} was refused: {limit} of its key {key:?} are unfinished, which is as many as may be"
            ),
            Self::Duplicate { task, existing } => {
                write!(
                    f,
                    "{task} was not stored: it is unique, and another one like it is unfinished or was stored less than \
                     its `unique_for` ago"
                )?;
                existing.map_or(Ok(()), |id| write!(f, " ({id})"))
            }
            Self::TooLarge { task, size, limit } => write!(
                f,
                "the arguments of {task} take {size} bytes, and at most {limit} are stored: store the data itself \
                 elsewhere and pass its id, or set `max_payload(..)` of the store"
            ),
            Self::Arguments { task, error } => {
                write!(
                    f,
                    "the arguments of {task} cannot be stored: {}",
                    OneLine(Chain(&**error))
                )
            }
            Self::NoTransactions { store, why } => write!(
                f,
                "the tasks of {store} cannot be a part of this transaction: {why}"
            ),
        }
    }
}

/// Like `Display`, because a `main` that returns the error prints its `Debug`.
impl fmt::Debug for EnqueueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for EnqueueError {}

impl EnqueueError {
    /// Of a write that the end of a shutdown has dropped.
    pub(crate) fn aborted() -> Self {
        Self::NotStored {
            error: Arc::new(StoreError::refused("the shutdown did not wait for it")),
        }
    }

    /// Returns whether the store is the reason, so that it may work later.
    pub(crate) fn is_of_the_store(&self) -> bool {
        matches!(self, Self::NotStored { .. } | Self::Timeout { .. })
    }

    /// Returns the status of the response that tells a client of it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Duplicate { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotStored { .. } | Self::Timeout { .. } | Self::NoStore { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::NotDurable { .. } | Self::Arguments { .. } | Self::NoTransactions { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }
}

impl IntoResponse for EnqueueError {
    fn into_response(self) -> Response {
        // Who asks too often is told so, and could fill the log of errors otherwise.
        if matches!(self, Self::TooMany { .. } | Self::Duplicate { .. }) {
            tracing::debug!(target: RUNTIME, "{self}");
        } else {
            tracing::error!(target: RUNTIME, "{self}");
        }
        self.status().into_response()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_main_prints_of_an_error_is_its_text_with_its_causes() {
        let io = std::io::Error::other("the disk is full");
        let error: Arc<dyn std::error::Error + Send + Sync> = Arc::new(StoreError::refused(io));
        let start = StartError::Migration {
            store: "SQLite (tasks.db)".to_owned(),
            error: error.clone(),
        };
        let look = LookError::Store {
            error: error.clone(),
        };
        let enqueue = EnqueueError::NotStored { error };
        for (debug, display) in [
            (format!("{start:?}"), start.to_string()),
            (format!("{look:?}"), look.to_string()),
            (format!("{enqueue:?}"), enqueue.to_string()),
        ] {
            assert_eq!(debug, display);
            assert!(
                debug.contains("the store refused: the disk is full"),
                "{debug}"
            );
        }
    }
}
