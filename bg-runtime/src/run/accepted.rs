use std::ops::{Deref, DerefMut};

use super::ledger::SettledBefore;
use super::limits::{PendingPermit, Permits};
use super::outcome::Outcome;
use super::report;
use super::settle::OutcomeGuard;
use crate::task::{AbortReason, BoxTask, Item, SkipReason, Task, TaskInfo};

/// A task that ends in exactly one outcome, even if it is dropped.
///
/// If its future is dropped with it, because a shutdown aborts what is left or a runtime ends, the report gets the
/// task itself, unless a run has consumed it.
pub(crate) struct AcceptedTask(
    /// `None` only once this has been taken apart.
    Option<AcceptedParts>,
);

/// What an [`AcceptedTask`] consists of, and derefs to.
pub(crate) struct AcceptedParts {
    // Declared before the guard, and so dropped before it: see `settle`.
    pub(crate) task: BoxTask,
    pub(super) guard: OutcomeGuard,
    pub(crate) permits: Permits,
}

const WHOLE: &str = "only methods that consume it take it apart";

impl Deref for AcceptedTask {
    type Target = AcceptedParts;

    fn deref(&self) -> &AcceptedParts {
        self.0.as_ref().expect(WHOLE)
    }
}

impl DerefMut for AcceptedTask {
    fn deref_mut(&mut self) -> &mut AcceptedParts {
        self.0.as_mut().expect(WHOLE)
    }
}

impl Drop for AcceptedTask {
    fn drop(&mut self) {
        let Some(parts) = self.0.take() else { return };
        // Most often it is settled already, by its handle, a newer task or a shutdown. Then its arguments need not be
        // shown for a report.
        if parts.guard.is_open() {
            let runner = parts.guard.runner().clone();
            let report = || parts.abort(AbortReason::Dropped);
            runner.ledger.drop_task(report);
        }
    }
}

/// A task that was not accepted, and has its outcome.
pub(crate) enum NotAccepted {
    /// A limit refused it, which counts as a failure in its list.
    Refused(TaskInfo),
    /// It is one too many, and its list goes on as if it were not there.
    Ignored,
}

impl NotAccepted {
    /// Returns the gap that the task leaves in its list.
    pub(crate) fn gap<T>(self) -> Option<Item<T>> {
        match self {
            Self::Refused(task) => Some(Item::Refused(task)),
            Self::Ignored => None,
        }
    }
}

impl AcceptedTask {
    pub(super) fn new(task: BoxTask, guard: OutcomeGuard, permits: Permits) -> Self {
        Self(Some(AcceptedParts {
            task,
            guard,
            permits,
        }))
    }

    fn into_parts(mut self) -> AcceptedParts {
        self.0.take().expect(WHOLE)
    }

    /// Settles a task that will not run.
    pub(crate) fn skip(self, reason: SkipReason) {
        // Something else may have been first.
        let _ = self.try_skip(reason);
    }

    pub(super) fn try_skip(self, reason: SkipReason) -> Result<(), SettledBefore> {
        let parts = self.into_parts();
        let runner = parts.guard.runner();
        runner.dispatch.note_skipped(&parts.task, &reason);
        if reason.is_reported() {
            parts.keep_arguments();
        }
        parts.settle(Outcome::Skipped(reason))
    }

    /// Settles a task that was stopped before it ran.
    pub(super) fn abort(self, reason: AbortReason) {
        self.into_parts().abort(reason);
    }

    /// Settles the outcome.
    pub(super) fn settle(self, outcome: Outcome) -> Result<(), SettledBefore> {
        self.into_parts().settle(outcome)
    }

    /// Returns what settles the outcome, and drops the rest, so that the task's span closes before that.
    pub(super) fn into_guard(self) -> OutcomeGuard {
        self.into_parts().guard
    }

    /// Takes the task itself out, which then does not run.
    pub(super) fn take_back<T: Task>(self) -> Option<T> {
        let AcceptedParts { task, guard, .. } = self.into_parts();
        let _ = guard.settle(Outcome::Aborted(AbortReason::Taken));
        task.downcast()
    }
}

impl AcceptedParts {
    /// Returns whether the task's response has to wait for a permit for it.
    pub(crate) fn needs_pending(&self) -> bool {
        self.permits.needs_pending()
    }

    pub(crate) fn set_pending(&self, permit: PendingPermit) {
        self.permits.set_pending(permit);
    }

    /// Returns whether the task has no outcome yet.
    pub(super) fn is_open(&self) -> bool {
        self.guard.is_open()
    }

    #[cfg(all(test, shuttle))]
    pub(crate) fn key(&self) -> super::EntryKey {
        self.guard.key()
    }

    fn abort(self, reason: AbortReason) {
        self.keep_arguments();
        let _ = self.settle(Outcome::Aborted(reason));
    }

    /// Keeps the arguments for reports. Done before a run, which consumes them, and only if a report
    /// would be seen, because formatting is not free.
    pub(super) fn keep_arguments(&self) {
        let Self { task, guard, .. } = self;
        if report::has_audience(guard.runner(), &task.info()) {
            guard.set_arguments(task.shown_arguments());
        }
    }

    /// Settles the outcome. The report of a task that did not run gets the task itself; otherwise the task is
    /// dropped first. In both cases its span closes before a shutdown that waits for the outcome returns.
    fn settle(self, outcome: Outcome) -> Result<(), SettledBefore> {
        let Self { task, guard, .. } = self;
        let unrun = match outcome {
            Outcome::Skipped(_) | Outcome::Aborted(_) => task.into_unrun(),
            Outcome::Completed | Outcome::Failed { .. } | Outcome::Refused(_) => {
                drop(task);
                None
            }
            #[cfg(feature = "durable")]
            Outcome::Returned { .. } => {
                drop(task);
                None
            }
            #[cfg(feature = "durable")]
            Outcome::NotStored(_) => task.into_unrun(),
        };
        guard.settle_with(outcome, unrun)
    }
}
