use std::fmt;
use std::time::SystemTime;

use serde_json::Value;

use super::RunFailure;
use crate::task::{FailureKind, Progress, TaskId, TaskInfo, durable_by_name};

/// The state of a stored task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StoredState {
    /// It is due later.
    Scheduled,
    /// It waits for a worker.
    Waiting,
    /// A worker runs it.
    Running,
    /// A run failed, and it waits for the next.
    Retrying,
    /// Its last run succeeded.
    Completed,
    /// It will not run again unless somebody asks for it: its last run failed, its arguments can not be read, or it
    /// has lost its worker too often.
    Dead,
    /// It was cancelled, or has expired.
    Cancelled,
}

impl StoredState {
    /// Every state, in the order in which a task goes through them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Waiting,
        Self::Running,
        Self::Retrying,
        Self::Completed,
        Self::Dead,
        Self::Cancelled,
    ];

    /// Returns whether a task in this state will not run again by itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

impl fmt::Display for StoredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Completed => "completed",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        })
    }
}

/// A stored task, as it was when it was looked at.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskStatus {
    /// The task's id.
    pub id: TaskId,
    /// The name under which it is stored.
    pub name: String,
    /// What it waits for, or how it ended.
    pub state: StoredState,
    /// The queue that it is in.
    pub queue: String,
    /// The number of its latest run, from 1; 0 before the first.
    pub attempt: u32,
    /// How often it may fail before it is dead.
    pub runs: u32,
    /// The arguments as JSON, secrets as `"***"`.
    pub arguments: String,
    /// The key that it is counted by, if it has one.
    pub key: Option<String>,
    /// The runs that failed, and the last time that a worker could not read the task, which is no run. Oldest first.
    pub errors: Vec<StoredError>,
    /// The latest progress that reached the store.
    pub progress: Option<Progress>,
    /// The worker that runs it, or has run it last.
    pub worker: Option<String>,
    /// When it was stored.
    pub stored_at: SystemTime,
    /// When it may begin, or begin again.
    pub due_at: SystemTime,
    /// The time by which its first run has to begin, if it expires.
    pub expires_at: Option<SystemTime>,
    /// When its latest run began, or its worker was last heard of.
    pub attempted_at: Option<SystemTime>,
    /// When it ended.
    pub ended_at: Option<SystemTime>,
}

impl TaskStatus {
    /// Hides secrets, and writes the arguments as the codec does, without the spaces that a database may put in. The
    /// secrets of a task that this program does not know are sealed, or its own business.
    pub(crate) fn redact(&mut self) {
        let Ok(value) = serde_json::from_str::<Value>(&self.arguments) else {
            return self.arguments.clear();
        };
        let def = durable_by_name(&self.name);
        let durable = def.and_then(|def| TaskInfo::declared(def).durable());
        let compact = serde_json::value::to_raw_value(&value);
        self.arguments = match (durable, compact) {
            (Some(durable), Ok(compact)) => durable.redact(&compact),
            (None, Ok(compact)) => compact.get().to_owned(),
            (_, Err(_)) => String::new(),
        };
    }
}

/// A run of a stored task that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StoredError {
    /// The number of the run.
    pub attempt: u32,
    /// When it failed.
    pub at: SystemTime,
    /// How.
    pub kind: FailureKind,
    /// What its error said.
    pub error: String,
}

impl StoredError {
    /// Puts it behind those that came before it. The others stay as they are, as clocks may differ.
    pub(super) fn insert_into(self, errors: &mut Vec<Self>) {
        let before = errors.iter().rposition(|error| error.at <= self.at);
        errors.insert(before.map_or(0, |before| before + 1), self);
    }

    /// Reads the text that a [`RunFailure`] displays.
    pub(super) fn parse(attempt: u32, at: SystemTime, text: &str) -> Self {
        let RunFailure { kind, error } = RunFailure::parse(text);
        Self {
            attempt,
            at,
            kind,
            error,
        }
    }
}
