//! What crosses to an engine and back.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::RunFailure;
use crate::task::TaskId;

/// A task on its way to an engine.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Made with the task, and the same in every engine.
    pub(crate) id: TaskId,
    pub(crate) name: &'static str,
    /// A JSON object by the names of the parameters.
    pub(crate) arguments: Box<RawValue>,
    /// What travels along and only the desk reads: an [`Envelope`](super::Envelope) as JSON.
    pub(crate) envelope: Box<RawValue>,
    /// How often the task may fail before it is dead.
    pub(crate) runs: u32,
    /// `None` for now.
    pub(crate) due: Option<SystemTime>,
    pub(crate) queue: Cow<'static, str>,
    /// From 1, the most urgent, to 4.
    pub(crate) priority: u8,
    pub(crate) unique: Option<Unique>,
    /// What [`key`](crate::Task::key) says, for lists.
    pub(crate) key: Option<String>,
}

#[cfg(feature = "river")]
impl Stored {
    /// Returns when it is due, if that is later.
    pub(crate) fn later_than(&self, now: SystemTime) -> Option<SystemTime> {
        self.due.filter(|due| *due > now)
    }
}

/// At most `slots` tasks with this value are unfinished at once.
#[derive(Debug, Clone)]
pub(crate) struct Unique {
    /// The name and the arguments or the key, as text of bounded length.
    pub(crate) value: String,
    pub(crate) slots: u32,
    /// The value stays taken for so long, even if the task ends before.
    pub(crate) period: Option<Duration>,
}

/// What became of a task that was to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    Stored,
    /// All slots of its [`Unique`] are taken. The id is that of a task that has one, where the engine knows it.
    Taken(Option<TaskId>),
}

/// How often a task may lose its worker before it is dead: it may be what kills them.
pub(crate) const MOST_LOSSES: u32 = 5;

/// A task that an engine gives to this process to run.
#[derive(Debug)]
pub(crate) struct Claimed {
    pub(crate) id: TaskId,
    /// As it is stored, which may be an old name of the task.
    pub(crate) name: String,
    pub(crate) arguments: Box<RawValue>,
    pub(crate) envelope: Box<RawValue>,
    pub(crate) queue: String,
    /// The number of this run, from 1. Never the same twice for one task.
    pub(crate) attempt: u32,
    /// How many runs have failed. Those whose worker was lost are not among them.
    pub(crate) failures: u32,
    /// How many runs have lost their worker.
    pub(crate) losses: u32,
    /// As in [`Stored`].
    pub(crate) runs: u32,
    pub(crate) stored_at: SystemTime,
    /// Cancelled when another process asks for it, or when the claim is lost.
    pub(crate) stop: StopOrder,
}

/// Why a run should end early.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopOrder {
    /// Somebody cancelled the task.
    pub(crate) cancelled: CancellationToken,
    /// The engine has given the task to another worker: nothing that this one says counts any more.
    pub(crate) lost: CancellationToken,
}

/// What the desk says of a claimed task.
#[derive(Debug)]
pub(crate) enum Verdict {
    Completed,
    /// A run failed. Without another run the task is dead.
    Failed {
        failure: RunFailure,
        retry_in: Option<Duration>,
    },
    /// It was cancelled, or expired: it ends without counting as dead.
    Cancelled(RunFailure),
    /// Its arguments could not be read here: it goes back like the next one, and the store says why.
    Unreadable {
        failure: RunFailure,
        wait: Duration,
    },
    /// It goes back to the store, and has not used up an attempt.
    Returned {
        wait: Duration,
    },
}
