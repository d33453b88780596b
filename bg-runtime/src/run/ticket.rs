//! Settling outcomes: by the run of a task, by its handle, by a limit, or by a shutdown.

use std::sync::Arc;

use super::ledger::{Entry, Outcome, Place, Started, Watcher};
use super::limits::{Admission, Refusal};
use super::{Hold, Runner};
use crate::contain::Contained;
use crate::task::{AbortReason, BoxError, FailureKind, QueuedTask, RequestInfo};

/// The right, and the duty, to settle one task's outcome.
pub(crate) struct Ticket {
    runner: Arc<Runner>,
    place: Place,
    by_hook: bool,
    used: bool,
}

impl Ticket {
    pub(super) fn issue(
        runner: &Arc<Runner>,
        queued: &QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
        admission: Admission,
    ) -> Self {
        let entry = Entry::new(queued, request, watcher, admission);
        let by_hook = entry.by_hook;
        let (place, refused) = runner.ledger.enter(entry);
        if let Some(entry) = refused {
            let _until_reported = Hold(runner.clone());
            runner.report(entry, Outcome::Aborted(AbortReason::AfterShutdown));
        }
        Self {
            runner: runner.clone(),
            place,
            by_hook,
            used: false,
        }
    }

    /// Whether a hook queued the task.
    pub(super) fn is_by_hook(&self) -> bool {
        self.by_hook
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(super) fn is_open(&self) -> bool {
        self.runner.ledger.is_open(self.place)
    }

    /// Keeps the task's arguments for the report of its outcome.
    pub(super) fn show(&self, arguments: Option<Box<str>>) {
        if arguments.is_some() {
            self.runner.ledger.show(self.place, arguments);
        }
    }

    /// Marks the task as running. `None`: it has been settled already, and must not run.
    pub(super) fn start(&self, attempt: u32) -> Option<Started> {
        self.runner.ledger.start(self.place, attempt)
    }

    /// Tells of a run that failed, and marks the task as waiting for the next of `retries` more than
    /// one. `false`: it has been settled already, and must not run again.
    pub(super) fn wait_again(
        &self,
        attempt: u32,
        retries: u32,
        kind: FailureKind,
        error: Contained<BoxError>,
    ) -> bool {
        let of = retries.saturating_add(1);
        let failed = self.runner.ledger.wait_again(self.place, attempt, of);
        let Some(failed) = failed else { return false };
        self.runner.report_failed_run(failed, attempt, kind, error);
        true
    }

    pub(crate) fn settle(mut self, outcome: Outcome) {
        self.used = true;
        self.runner.settle(self.place, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // The future that was to run the task is gone. Unless somebody else has settled it.
        if !self.used {
            self.runner
                .settle(self.place, Outcome::Aborted(AbortReason::Dropped));
        }
    }
}

impl Runner {
    /// Counts the outcome, and reports it where it is not a success. The first outcome of a task
    /// stands.
    fn settle(self: &Arc<Self>, place: Place, outcome: Outcome) {
        if let Some(entry) = self.ledger.close_entry(place, &outcome) {
            let _until_reported = Hold(self.clone());
            self.report(entry, outcome);
        }
    }

    /// Counts and reports a task that is refused when it comes. It never stands in the books, so that
    /// not even for a moment more tasks seem to wait than may.
    pub(super) fn refuse(
        self: &Arc<Self>,
        queued: &QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
        refusal: Refusal,
    ) {
        let mut entry = Entry::new(queued, request, watcher, Admission::default());
        if self.has_audience(&entry.task) {
            entry.arguments = queued.shown_arguments();
        }
        let outcome = self.ledger.refuse(&entry, refusal);
        let _until_reported = Hold(self.clone());
        self.report(entry, outcome);
    }

    /// Settles a task from its handle.
    pub(crate) fn abort_task(self: &Arc<Self>, place: Place) {
        self.settle(place, Outcome::Aborted(AbortReason::Handle));
    }

    /// Settles everything that has no outcome yet, and refuses what comes after.
    pub(super) fn close_books(self: &Arc<Self>) {
        let entries = self.ledger.close();
        for entry in entries {
            self.report(entry, Outcome::Aborted(AbortReason::Shutdown));
        }
    }
}
