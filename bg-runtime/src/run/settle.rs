//! Settling outcomes: by the run of a task, by its handle, by a limit, or by a shutdown.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;

use super::ledger::{Entry, EntryKey, SettledBefore, Started};
use super::limits::{Denial, Permits};
use super::outcome::{Outcome, RunError};
use super::report::{self, Event, Step};
use super::run_state::RunState;
use super::{Hold, Runner};
use crate::contain::wake;
use crate::task::{AbortReason, BoxTask, RequestInfo, SkipReason, TaskRef, Tracker, UnrunTask};

/// The right and the duty to settle one task's outcome. Dropping it settles the task as aborted.
///
/// This is why no task can vanish: a runtime that shuts down drops its futures, these drop their guards,
/// and the tasks are counted as aborted. Only a guard that is leaked would lose its task, which is why
/// guards live only in [`AcceptedTask`](super::AcceptedTask) and in [`TaskEnd`](super::task::TaskEnd).
pub(crate) struct OutcomeGuard {
    runner: Arc<Runner>,
    key: EntryKey,
    by_hook: bool,
    settled: bool,
}

/// The parts of a task's entry in the books that its run needs. Not the whole `TaskRef`, which would take up
/// space in the future of the run.
pub(super) struct StartedRun {
    pub(super) request: Option<Arc<RequestInfo>>,
}

impl OutcomeGuard {
    /// Enters the task into the books. If those are closed, it has its outcome at once.
    pub(super) fn new(
        runner: &Arc<Runner>,
        task: &BoxTask,
        request: Option<Arc<RequestInfo>>,
        tracker: Option<Tracker>,
        permits: Permits,
    ) -> Self {
        let tracked = tracker.as_ref().map(|tracker| tracker.tracked().clone());
        let entry = Entry::new(task, request, tracker, permits);
        let by_hook = entry.by_hook;
        // Before the task is in the books: from then on, a shutdown may report its end.
        report::publish(runner, &Event::of(&entry, Step::Queued));
        let (key, late) = runner.ledger.enter(entry);
        let settled = late.is_some();
        if let Some((mut entry, outcome)) = late {
            let _until_reported = Hold::adopt(runner);
            if report::has_audience(runner, &task.info()) {
                entry.arguments = task.shown_arguments();
            }
            if let Outcome::Refused(refusal) = &outcome {
                runner.dispatch.note_skipped(task, refusal);
            }
            report::end(runner, entry, outcome, None);
        }
        if let Some(tracked) = tracked {
            tracked.queue(runner, key);
        }
        Self {
            runner: runner.clone(),
            key,
            by_hook,
            settled,
        }
    }

    /// Returns whether an error hook queued the task.
    pub(super) fn is_by_hook(&self) -> bool {
        self.by_hook
    }

    pub(super) fn key(&self) -> EntryKey {
        self.key
    }

    pub(super) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(super) fn is_open(&self) -> bool {
        self.runner.ledger.is_open(self.key)
    }

    /// Keeps the task's arguments for the report of its outcome.
    pub(super) fn set_arguments(&self, arguments: Option<Box<str>>) {
        if arguments.is_some() {
            self.runner.ledger.set_arguments(self.key, arguments);
        }
    }

    /// Marks the task as running. `None` if it is settled already, and must not run.
    pub(super) fn start(&self, attempt: u32, task: &BoxTask) -> Option<StartedRun> {
        let Started {
            request,
            waiting_since,
        } = self.runner.ledger.start(self.key, attempt, task.runs())?;
        let task_ref = TaskRef {
            task: task.info(),
            id: task.id(),
            request,
        };
        let event = Event {
            task: &task_ref,
            span: task.span(),
            by_hook: self.by_hook,
            step: Step::Started {
                attempt,
                waiting_since,
            },
        };
        report::publish(&self.runner, &event);
        Some(StartedRun {
            request: task_ref.request,
        })
    }

    /// Marks the task as waiting for its next run, and reports the one that failed. Returns `false` if the
    /// task is settled already, and must not run again.
    pub(super) fn wait_again(
        &self,
        span: &Span,
        attempt: u32,
        retries: u32,
        error: RunError,
        retry_in: Duration,
    ) -> bool {
        let of = retries.saturating_add(1);
        match self.runner.ledger.wait_again(self.key, attempt, of) {
            Some(failed) => {
                report::fail_run(&self.runner, failed, span, attempt, error, retry_in);
                true
            }
            None => false,
        }
    }

    pub(super) fn settle(self, outcome: Outcome) -> Result<(), SettledBefore> {
        self.settle_with(outcome, None)
    }

    /// Settles a task that does not run, with the task itself for the report.
    pub(super) fn settle_with(
        mut self,
        outcome: Outcome,
        unrun: Option<UnrunTask>,
    ) -> Result<(), SettledBefore> {
        self.settled = true;
        if settle_with(&self.runner, self.key, outcome, unrun) {
            Ok(())
        } else {
            Err(self.runner.ledger.settled_before(self.key))
        }
    }
}

impl Drop for OutcomeGuard {
    fn drop(&mut self) {
        // The future that was to run the task is gone. If a handle or a shutdown has settled the task
        // before, this does nothing.
        if !self.settled {
            let outcome = Outcome::Aborted(AbortReason::Dropped);
            if !settle_with(&self.runner, self.key, outcome, None) {
                self.runner.ledger.settled_before(self.key);
            }
        }
    }
}

/// Counts and reports an outcome. Does nothing if the task is settled already.
pub(super) fn settle(runner: &Arc<Runner>, key: EntryKey, outcome: Outcome) {
    settle_with(runner, key, outcome, None);
}

/// Settles a task from its handle, and wakes what runs it or waits to: see `run/abortable.rs`.
pub(super) fn abort(runner: &Arc<Runner>, key: EntryKey) {
    if let Some((entry, waker)) = runner.ledger.abort_entry(key) {
        let _until_reported = Hold::adopt(runner);
        report::end(runner, entry, Outcome::Aborted(AbortReason::Handle), None);
        // Only then, so that what the abort keeps from running is reported after it.
        runner.ledger.tell_of_abort();
        if let Some(waker) = waker {
            wake(waker);
        }
    }
}

/// Returns `false` if the task is settled already.
fn settle_with(
    runner: &Arc<Runner>,
    key: EntryKey,
    mut outcome: Outcome,
    unrun: Option<UnrunTask>,
) -> bool {
    if let Outcome::Aborted(reason @ AbortReason::Dropped) = &mut outcome {
        // A shutdown drops the futures of what is left.
        if runner.ledger.is_closed() {
            *reason = AbortReason::Shutdown;
        }
    }
    let Some((entry, outcome)) = runner.ledger.close_entry(key, outcome) else {
        return false;
    };
    let _until_reported = Hold::adopt(runner);
    report::end(runner, entry, outcome, unrun);
    true
}

/// Counts and reports a task that a limit does not let in. It is never entered into the books, which would
/// show more tasks waiting than may wait, if only for a moment.
pub(super) fn deny(
    runner: &Arc<Runner>,
    task: BoxTask,
    request: Option<Arc<RequestInfo>>,
    tracker: Option<Tracker>,
    denial: Denial,
) {
    let outcome = match denial {
        Denial::Refused(refusal) => Outcome::Refused(refusal),
        Denial::Duplicate => Outcome::Skipped(SkipReason::Duplicate),
    };
    end_unaccepted(runner, task, request, tracker, outcome);
}

/// Counts and reports a task that has its outcome without ever having been in the books.
pub(super) fn end_unaccepted(
    runner: &Arc<Runner>,
    task: BoxTask,
    request: Option<Arc<RequestInfo>>,
    tracker: Option<Tracker>,
    outcome: Outcome,
) {
    let mut entry = Entry::new(&task, request, tracker, Permits::default());
    entry.run = RunState::Refused;
    if report::has_audience(runner, &task.info()) {
        entry.arguments = task.shown_arguments();
    }
    let outcome = runner.ledger.deny(&entry, outcome);
    let _until_reported = Hold::adopt(runner);
    report::end(runner, entry, outcome, task.into_unrun());
}

/// Settles every task that has no outcome yet as aborted.
pub(super) fn settle_rest(runner: &Arc<Runner>) {
    for (entry, outcome) in runner.ledger.settle_rest() {
        report::end(runner, entry, outcome, None);
    }
}
