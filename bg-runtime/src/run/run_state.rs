use std::time::Duration;

use tokio::time::Instant;

/// The run that a task is in, or waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum RunState {
    /// It waits for its first run.
    First { since: Instant },
    /// A limit refused it: it neither waits nor runs.
    Refused,
    /// It is in run `attempt`, of at most `of`.
    Running {
        attempt: u32,
        of: u32,
        since: Instant,
    },
    /// It waits for the run after `attempt`, of at most `of` runs.
    After {
        attempt: u32,
        of: u32,
        since: Instant,
    },
}

impl RunState {
    /// Returns the number of runs so far.
    pub(super) fn attempts(self) -> u32 {
        match self {
            Self::First { .. } | Self::Refused => 0,
            Self::Running { attempt, .. } | Self::After { attempt, .. } => attempt,
        }
    }

    /// Returns the number of the run that the task is in or waits for, from 1.
    pub(super) fn next_attempt(self) -> u32 {
        match self {
            Self::First { .. } | Self::Refused => 1,
            Self::Running { attempt, .. } => attempt,
            Self::After { attempt, .. } => attempt.saturating_add(1),
        }
    }

    /// Returns whether the task may have more than one run. `false` before its first.
    pub(super) fn is_one_of_several(self) -> bool {
        match self {
            Self::First { .. } | Self::Refused => false,
            Self::Running { of, .. } | Self::After { of, .. } => of > 1,
        }
    }

    /// Returns how long the current run has taken so far. `None` if the task is not running.
    pub(super) fn elapsed(self) -> Option<Duration> {
        match self {
            Self::Running { since, .. } => Some(since.elapsed()),
            Self::First { .. } | Self::Refused | Self::After { .. } => None,
        }
    }

    /// Returns when this state began. `None` if a limit refused the task.
    pub(super) fn since(self) -> Option<Instant> {
        match self {
            Self::First { since } | Self::Running { since, .. } | Self::After { since, .. } => {
                Some(since)
            }
            Self::Refused => None,
        }
    }

    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Self::First { .. } | Self::After { .. })
    }

    pub(super) fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}
