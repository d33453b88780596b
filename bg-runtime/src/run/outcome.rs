use super::limits::Refusal;
use super::period::Closed;
use crate::contain::Contained;
use crate::task::{AbortReason, BoxError, FailureKind, SkipReason, Skipped};

/// The failure of one run.
pub(super) struct RunError {
    pub(super) kind: FailureKind,
    pub(super) error: Contained<BoxError>,
}

impl RunError {
    /// Returns why the run was aborted, if it was: the runtime of a synchronous task was shut down before
    /// the task had a thread. The error is the library's own, so no task can return it.
    pub(super) fn aborted(&self) -> Option<AbortReason> {
        self.error.downcast_ref().copied()
    }
}

/// The end of a task.
pub(super) enum Outcome {
    Completed,
    /// Its last run failed.
    Failed {
        error: RunError,
        /// The tasks that will not run because of it.
        skipped: Skipped,
    },
    Skipped(SkipReason),
    /// A limit left no room for it.
    Refused(Refusal),
    Aborted(AbortReason),
    /// It goes back to the store, and runs again, here or elsewhere. What failed before that was reported on its own.
    #[cfg(feature = "durable")]
    Returned {
        /// A shutdown stopped it, or did not let it begin.
        given_back: bool,
    },
    /// The store did not take it.
    #[cfg(feature = "durable")]
    NotStored(BoxError),
}

/// The parts of a report about an outcome that is not a success.
pub(super) struct FailedOutcome {
    pub(super) kind: FailureKind,
    pub(super) error: Contained<BoxError>,
    pub(super) skipped: Skipped,
    /// Whether error hooks and the log hear about it.
    pub(super) is_reported: bool,
}

impl Outcome {
    /// Returns the outcome of a task that comes when the books are closed.
    pub(super) fn of_late_task(closed: Closed) -> Self {
        match closed {
            Closed::UntilServe => Self::Refused(Refusal::Drained),
            Closed::ForGood => Self::Aborted(AbortReason::AfterShutdown),
        }
    }

    /// Returns the outcome of a task that a store has, where another one would have this: what a shutdown stops, or
    /// does not let begin, goes back.
    #[cfg(feature = "durable")]
    pub(super) fn of_claimed(self) -> Self {
        match self {
            Self::Aborted(
                AbortReason::Shutdown
                | AbortReason::DueAfterShutdown
                | AbortReason::AfterShutdown
                | AbortReason::Dropped,
            )
            | Self::Refused(Refusal::Drained) => Self::Returned { given_back: true },
            outcome => outcome,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Skipped(_) => "skipped",
            Self::Refused(_) => "rejected",
            Self::Aborted(_) => "aborted",
            #[cfg(feature = "durable")]
            Self::Returned { .. } => "returned",
            #[cfg(feature = "durable")]
            Self::NotStored(_) => "not_stored",
        }
    }

    pub(super) fn into_failed(self) -> Option<FailedOutcome> {
        let (kind, error, is_reported): (_, BoxError, _) = match self {
            Self::Completed => return None,
            #[cfg(feature = "durable")]
            Self::Returned { .. } => return None,
            #[cfg(feature = "durable")]
            Self::NotStored(error) => (FailureKind::NotStored, error, true),
            Self::Failed { error, skipped } => {
                return Some(FailedOutcome {
                    kind: error.kind,
                    error: error.error,
                    skipped,
                    is_reported: true,
                });
            }
            Self::Skipped(reason) => (FailureKind::Skipped, reason.into(), reason.is_reported()),
            Self::Refused(refusal) => (FailureKind::Rejected, refusal.into(), true),
            Self::Aborted(reason) => (FailureKind::Aborted, reason.into(), reason.is_reported()),
        };
        Some(FailedOutcome {
            kind,
            error: Contained::new(error),
            skipped: Skipped::default(),
            is_reported,
        })
    }
}
