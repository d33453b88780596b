use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::task::{RequestInfo, TaskId, TaskInfo, TaskRef};

/// The run that a task is in, or waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunState {
    /// It waits for its first run.
    First,
    /// A limit refused it: it neither waits nor runs.
    Refused,
    Running {
        attempt: u32,
        since: Instant,
    },
    /// It waits for the run after `attempt`, of at most `of` runs.
    After {
        attempt: u32,
        of: u32,
    },
}

impl RunState {
    /// Returns the number of runs so far.
    pub(super) fn attempts(self) -> u32 {
        match self {
            Self::First | Self::Refused => 0,
            Self::Running { attempt, .. } | Self::After { attempt, .. } => attempt,
        }
    }

    /// Returns how long the current run has taken so far. `None` if the task is not running.
    pub(super) fn elapsed(self) -> Option<Duration> {
        match self {
            Self::Running { since, .. } => Some(since.elapsed()),
            Self::First | Self::Refused | Self::After { .. } => None,
        }
    }

    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Self::First | Self::After { .. })
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// A task that a shutdown aborted.
#[derive(Debug, Clone)]
pub struct UnfinishedTask {
    task: TaskRef,
    run: RunState,
    running_for: Option<Duration>,
}

impl UnfinishedTask {
    pub(super) fn new(task: TaskRef, run: RunState) -> Self {
        Self {
            task,
            run,
            running_for: run.elapsed(),
        }
    }

    /// The task's name, file and line.
    #[must_use]
    pub fn task(&self) -> &TaskInfo {
        &self.task.task
    }

    /// The id of this very task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// The request that queued the task. `None` if the task was spawned.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        self.task.request.as_deref()
    }

    /// The time for which the task had been running. `None` if it waited, for its first run or another.
    #[must_use]
    pub fn running_for(&self) -> Option<Duration> {
        self.running_for
    }

    /// The number of the run that the task was in or waited for, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match self.run {
            RunState::After { attempt, .. } => attempt.saturating_add(1),
            RunState::Running { attempt, .. } => attempt,
            RunState::First | RunState::Refused => 1,
        }
    }
}

impl fmt::Display for UnfinishedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task.task)?;
        if let Some(request) = &self.task.request {
            write!(f, ", queued by {request}")?;
        }
        match (self.run, self.running_for) {
            (RunState::After { of, .. }, _) => {
                write!(f, ", waiting for attempt {} of {of}", self.attempt())
            }
            (_, Some(time)) => write!(f, ", running for {time:.1?}"),
            (_, None) => write!(f, ", not started"),
        }
    }
}
