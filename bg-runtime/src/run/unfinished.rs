use std::fmt;
use std::time::Duration;

use super::run_state::RunState;
use crate::task::{RequestInfo, TaskId, TaskInfo, TaskRef};

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

    /// The task's id, which logs and reports show too.
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
        self.run.next_attempt()
    }
}

impl fmt::Display for UnfinishedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task)?;
        match (self.run, self.running_for) {
            (RunState::After { of, .. }, _) => {
                write!(f, ", waiting for attempt {} of {of}", self.attempt())
            }
            (_, Some(time)) => write!(f, ", running for {time:.1?}"),
            (_, None) => write!(f, ", not started"),
        }
    }
}
