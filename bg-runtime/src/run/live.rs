use std::fmt;
use std::time::SystemTime;

use super::run_state::RunState;
use crate::task::{Progress, RequestInfo, TaskId, TaskInfo, TaskRef};

/// A task that waits or runs, as it was when [`Background::live`](crate::Background::live) was called.
///
/// Displays as one line, such as `resize (src/images.rs:12), queued by POST /images, running, attempt 2: 3 of 10`.
#[derive(Debug, Clone)]
pub struct LiveTask {
    task: TaskRef,
    run: RunState,
    since: SystemTime,
    progress: Option<Progress>,
}

/// What a task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// It waits for its first run: for its response, for the tasks before it, for a delay or for a limit.
    Waiting,
    /// It is in a run.
    Running,
    /// A run of it failed, and it waits for the next.
    WaitingForRetry,
}

impl LiveTask {
    pub(super) fn new(task: TaskRef, run: RunState, progress: Option<Progress>) -> Self {
        let age = run.since().map(|since| since.elapsed());
        let now = SystemTime::now();
        let since = now.checked_sub(age.unwrap_or_default());
        Self {
            task,
            run,
            since: since.unwrap_or(now),
            progress,
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

    /// What the task is doing.
    #[must_use]
    pub fn state(&self) -> TaskState {
        match self.run {
            RunState::First { .. } | RunState::Refused => TaskState::Waiting,
            RunState::Running { .. } => TaskState::Running,
            RunState::After { .. } => TaskState::WaitingForRetry,
        }
    }

    /// When the task came into its [`state`](Self::state).
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// The number of the run that the task is in or waits for, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.run.next_attempt()
    }

    /// The latest progress that the task has reported. `None` if it has reported none.
    #[must_use]
    pub fn progress(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }
}

impl fmt::Display for LiveTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.task, self.state())?;
        if self.run.is_one_of_several() {
            write!(f, ", attempt {}", self.attempt())?;
        }
        if let Some(progress) = &self.progress {
            write!(f, ": {progress}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::WaitingForRetry => "waiting for its next run",
        })
    }
}
