use std::time::Duration;

use tokio::time::Instant;

/// The run that a task is in, or waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunState {
    /// It waits for its first run.
    First,
    /// A limit refused it: it neither waits nor runs.
    Refused,
    /// It is in run `attempt`, of at most `of`.
    Running {
        attempt: u32,
        of: u32,
        since: Instant,
    },
    /// It waits for the run after `attempt`, of at most `of` runs.
    After { attempt: u32, of: u32 },
}

impl RunState {
    /// Returns the number of runs so far.
    pub(super) fn attempts(self) -> u32 {
        match self {
            Self::First | Self::Refused => 0,
            Self::Running { attempt, .. } | Self::After { attempt, .. } => attempt,
        }
    }

    /// Returns whether the task may have more than one run. `false` before its first.
    pub(super) fn is_one_of_several(self) -> bool {
        match self {
            Self::First | Self::Refused => false,
            Self::Running { of, .. } | Self::After { of, .. } => of > 1,
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
