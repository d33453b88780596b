//! Reporting what happens to a task: one [`Event`], which is given to each sink in turn.
//!
//! Nothing is reported under a lock, because sinks run the user's code.

mod hooks;
mod log;
mod metrics;

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{Level, Span};

pub(crate) use self::hooks::Hooks;
pub(super) use self::metrics::describe as describe_metrics;
#[cfg(feature = "durable")]
pub(super) use self::metrics::{SHOWS_STORES, show_store};
use super::Runner;
use super::ledger::{Entry, FailedRun};
use super::outcome::{Outcome, RunError};
use super::run_state::RunState;
use crate::contain::Contained;
use crate::log_target::FAILURE;
use crate::task::{FailureParts, Skipped, TaskFailure, TaskInfo, TaskRef, UnrunTask};

/// Something that happened to a task.
pub(super) struct Event<'a> {
    pub(super) task: &'a TaskRef,
    pub(super) span: &'a Span,
    /// Whether an error hook queued the task.
    pub(super) by_hook: bool,
    pub(super) step: Step<'a>,
}

/// The steps of a task, in the order in which they happen. A task that a limit refuses has only the last. Two threads
/// may publish steps of one task in another order: a handle settles a task while a run of it fails.
#[cfg_attr(
    not(feature = "metrics"),
    expect(dead_code, reason = "of the sinks, only metrics read every field")
)]
pub(super) enum Step<'a> {
    /// It was accepted, and waits for its first run.
    Queued,
    /// A run begins.
    Started {
        attempt: u32,
        waiting_since: Instant,
    },
    /// A run failed; the task waits for the next.
    RunFailed { failure: &'a TaskFailure },
    /// The task has its outcome.
    Ended {
        outcome: &'static str,
        ran: &'a LastRun,
        /// Whether it was [`Queued`](Self::Queued), or waited for another run.
        was_waiting: bool,
        /// What is not reported as a failure: a skip that was asked for, for example.
        quiet: Option<&'a TaskFailure>,
        /// `None` for a success, and for an end that is not reported.
        failure: Option<&'a TaskFailure>,
    },
}

impl<'a> Event<'a> {
    /// Returns the failure that this event reports, if any.
    #[inline]
    pub(super) fn failure(&self) -> Option<&'a TaskFailure> {
        match self.step {
            Step::Queued | Step::Started { .. } => None,
            Step::RunFailed { failure } => Some(failure),
            Step::Ended { failure, .. } => failure,
        }
    }

    pub(super) fn of(entry: &'a Entry, step: Step<'a>) -> Self {
        Self {
            task: &entry.task,
            span: &entry.span,
            by_hook: entry.by_hook,
            step,
        }
    }
}

/// Gives an event to its sinks, one after the other.
///
/// Inlined, because it is called three times for each task, and most of the time the sinks have nothing to
/// do.
#[inline]
pub(super) fn publish(runner: &Arc<Runner>, event: &Event<'_>) {
    metrics::record(event);
    log::record(runner, event);
    if let Some(failure) = event.failure() {
        hooks::tell(runner, event, failure);
    }
    runner.dispatch.observe(event);
}

/// Returns whether a failure of this task would be seen, so that its arguments are worth formatting.
pub(super) fn has_audience(runner: &Runner, task: &TaskInfo) -> bool {
    runner.hooks.hear_of(task)
        || (runner.hooks.log_failures() && tracing::enabled!(target: FAILURE, Level::ERROR))
        || runner.dispatch.observes_failures()
}

/// Reports the outcome of a task that has left the books, with the task itself if it did not run and is at
/// hand.
pub(super) fn end(
    runner: &Arc<Runner>,
    mut entry: Entry,
    outcome: Outcome,
    unrun: Option<UnrunTask>,
) {
    // Before the sinks, so that a hook that queues tasks finds their room; and here rather than in a
    // destructor, because the future that was to run the task may live on.
    entry.permits.release();
    let ran = LastRun::new(entry.run);
    // A task that may run again has a copy of itself left, but the run that ends here was the task itself.
    let unrun = unrun.filter(|_| !entry.run.is_running());
    let name = outcome.name();
    let (failure, is_reported) = match outcome.into_failed() {
        None => (None, false),
        Some(failed) => {
            let failure = TaskFailure::new(FailureParts {
                task: entry.task.clone(),
                kind: failed.kind,
                error: Contained::new(Arc::from(failed.error.into_inner())),
                arguments: entry.arguments.take(),
                attempt: ran.attempts(),
                retry_in: None,
                elapsed: ran.elapsed().unwrap_or_default(),
                skipped: failed.skipped,
                unrun,
            });
            (Some(failure), failed.is_reported)
        }
    };
    let step = Step::Ended {
        outcome: name,
        ran: &ran,
        was_waiting: entry.run.is_waiting(),
        quiet: failure.as_ref().filter(|_| !is_reported),
        failure: failure.as_ref().filter(|_| is_reported),
    };
    publish(runner, &Event::of(&entry, step));
    if entry.run.is_one_of_several() {
        // Last, so that no event shows it beside its own. The runs have spans of their own.
        entry.span.record("task.attempt", ran.attempts());
    }
    // After the sinks, so that sync hooks have returned when a handle completes.
    let outcome = failure.map_or(Ok(()), Err);
    runner.ledger.remember(entry.task.id, &outcome);
    if let Some(tracker) = entry.tracker {
        tracker.tracked().end(outcome);
    }
}

/// Reports a run that failed, of a task that will run again.
pub(super) fn fail_run(
    runner: &Arc<Runner>,
    run: FailedRun,
    span: &Span,
    attempt: u32,
    error: RunError,
    retry_in: Duration,
) {
    let failure = TaskFailure::new(FailureParts {
        task: run.task,
        kind: error.kind,
        error: Contained::new(Arc::from(error.error.into_inner())),
        arguments: run.arguments,
        attempt,
        retry_in: Some(retry_in),
        elapsed: run.elapsed,
        skipped: Skipped::default(),
        unrun: None,
    });
    let event = Event {
        task: failure.task_ref(),
        span,
        by_hook: run.by_hook,
        step: Step::RunFailed { failure: &failure },
    };
    publish(runner, &event);
}

/// The last run of a task, as reports show it. Reads the clock at most once, and only if a sink asks.
pub(super) struct LastRun {
    run: RunState,
    elapsed: OnceCell<Option<Duration>>,
}

impl LastRun {
    fn new(run: RunState) -> Self {
        Self {
            run,
            elapsed: OnceCell::new(),
        }
    }

    pub(super) fn attempts(&self) -> u32 {
        self.run.attempts()
    }

    /// Returns how long the run took. `None` if the task was not running.
    pub(super) fn elapsed(&self) -> Option<Duration> {
        *self.elapsed.get_or_init(|| self.run.elapsed())
    }
}
