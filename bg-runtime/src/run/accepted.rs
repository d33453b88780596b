use super::limits::{PendingPermit, Permits};
use super::outcome::Outcome;
use super::report;
use super::settle::OutcomeGuard;
use crate::task::{AbortReason, BoxTask, Item, SkipReason, Task, TaskInfo};

/// A task that ends in exactly one outcome, even if it is dropped.
pub(crate) struct AcceptedTask {
    // Declared before the guard, and so dropped before it: see `settle`.
    pub(crate) task: BoxTask,
    pub(super) guard: OutcomeGuard,
    pub(super) permits: Permits,
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

    /// Settles a task that will not run.
    pub(crate) fn skip(self, reason: SkipReason) {
        self.guard
            .runner()
            .dispatch
            .note_skipped(&self.task, &reason);
        if reason.is_reported() {
            self.keep_arguments();
        }
        self.settle(Outcome::Skipped(reason));
    }

    /// Settles a task that was stopped before it ran.
    pub(super) fn abort(self, reason: AbortReason) {
        self.keep_arguments();
        self.settle(Outcome::Aborted(reason));
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
    pub(super) fn settle(self, outcome: Outcome) {
        let Self { task, guard, .. } = self;
        let unrun = match outcome {
            Outcome::Skipped(_) | Outcome::Aborted(_) => task.into_unrun(),
            Outcome::Completed | Outcome::Failed { .. } | Outcome::Refused(_) => {
                drop(task);
                None
            }
        };
        guard.settle_with(outcome, unrun);
    }

    /// Takes the task itself out, which then does not run.
    pub(super) fn take_back<T: Task>(self) -> Option<T> {
        let Self { task, guard, .. } = self;
        guard.settle(Outcome::Aborted(AbortReason::Taken));
        task.downcast()
    }
}
