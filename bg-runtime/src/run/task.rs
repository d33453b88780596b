//! One task, from its turn to its outcome: its runs, and the waits before and between them.

use std::mem::take;
use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::attempt;
use super::begin::{acquire, wait};
use super::end_of_wait::end_of_wait;
use super::ledger::SettledBefore;
use super::limits::{ListSlot, RunLease, RunLimit};
use super::next_run::wait_for_next_run;
use super::outcome::{Outcome, RunError};
use super::settle::OutcomeGuard;
use super::{AcceptedTask, Runner};
use crate::contain::contain;
use crate::log_target::RUNTIME;
use crate::task::{AbortReason, BoxTask, SkipReason, TaskInfo};

/// The end of a task that did not succeed.
pub(super) enum TaskEnd {
    /// Its last run failed. The list settles its outcome, because the list knows what the failure keeps
    /// from running.
    Failed {
        info: TaskInfo,
        guard: OutcomeGuard,
        error: RunError,
    },
    /// It is aborted already: a shutdown ends before it could run, or its runtime has refused it. A list
    /// that stops at failures aborts the tasks behind it, too.
    Aborted(AbortReason),
    /// Its handle has aborted it, which counts as a failure in its list.
    AbortedByHandle(TaskInfo),
}

/// Runs the task, with its retries, and settles its outcome unless it failed.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has space for its arguments twice"
)]
pub(super) fn run_task<'a>(
    runner: &'a Arc<Runner>,
    mut accepted: AcceptedTask,
    slot: &'a mut ListSlot,
) -> impl Future<Output = Result<(), TaskEnd>> + Send + 'a {
    async move {
        accepted.keep_arguments();
        let retries = accepted.task.retries();
        let timeout = runner.timeout_of(&accepted.task);

        let delay = accepted.task.options().wait();
        if !delay.is_zero() {
            let until = end_of_wait(Instant::now(), delay);
            if let Err(no_run) = wait(runner, &mut accepted, true, until, slot).await {
                return no_run.settle(accepted);
            }
        }
        // Another run of a synchronous task waits for the thread of the one before.
        let has_one_thread = retries > 0 && accepted.task.info().is_blocking();
        let thread = has_one_thread.then(|| RunLimit::new(1));
        let mut number = 1;
        loop {
            let info = accepted.task.info();
            let limits = &runner.limits;
            let acquired = acquire(runner, &mut accepted, number == 1, thread.as_ref(), slot).await;
            let mut run_permits = match acquired {
                Ok(run_permits) => run_permits,
                Err(no_run) => return no_run.settle(accepted),
            };
            let may_run_again = number <= retries && copy(&mut accepted.task);
            if !accepted.permits.leave_line() {
                // The newer task may still be about to settle it.
                return settle(accepted, Outcome::Skipped(SkipReason::Replaced));
            }
            let Some(started) = accepted.guard.start(number, &accepted.task) else {
                return settled_meanwhile(accepted);
            };
            limits.start(&accepted.permits);
            run_permits.begin();
            let lease = info
                .is_blocking()
                .then(|| RunLease::new(take(&mut run_permits), slot));
            let ended = attempt(
                runner,
                &mut accepted,
                started,
                lease.as_ref(),
                number,
                timeout,
                None,
            )
            .await;
            // Before the outcome is reported, and before the wait for another run, so that others of the
            // same key or name can run meanwhile.
            drop(run_permits);
            if let Some(lease) = lease {
                lease.end(slot);
            }
            let error = match ended {
                Ok(()) => return settle(accepted, Outcome::Completed),
                Err(error) => error,
            };
            if let Some(reason) = error.aborted() {
                return Err(aborted(accepted, reason));
            }
            let backoff = if may_run_again {
                wait_for_next_run(&info, number, &error)
            } else {
                None
            };
            let Some(backoff) = backoff else {
                // The list settles the guard, when the task's span has closed.
                return Err(TaskEnd::Failed {
                    info,
                    guard: accepted.into_guard(),
                    error,
                });
            };
            // Before the failure is reported, so that a hook that queues tasks finds this one waiting.
            limits.wait_again(&accepted.permits);
            let until = end_of_wait(Instant::now(), backoff);
            let span = accepted.task.span();
            let guard = &accepted.guard;
            if !guard.wait_again(span, number, retries, error, backoff) {
                return settled_meanwhile(accepted);
            }
            if let Err(no_run) = wait(runner, &mut accepted, false, until, slot).await {
                return no_run.settle(accepted);
            }
            number = number.saturating_add(1);
        }
    }
}

/// Settles a task that keeps nothing behind it from running, unless its handle has aborted it meanwhile.
pub(super) fn settle(task: AcceptedTask, outcome: Outcome) -> Result<(), TaskEnd> {
    let info = task.task.info();
    settled(info, task.settle(outcome))
}

/// Returns what a task is to its list that was settled, now or before.
pub(super) fn settled(info: TaskInfo, settled: Result<(), SettledBefore>) -> Result<(), TaskEnd> {
    match settled {
        Err(SettledBefore::ByHandle) => Err(TaskEnd::AbortedByHandle(info)),
        Err(SettledBefore::Otherwise) | Ok(()) => Ok(()),
    }
}

/// Ends a task that its handle, a newer task or a shutdown has settled, or that a shutdown is about to settle.
pub(super) fn settled_meanwhile(task: AcceptedTask) -> Result<(), TaskEnd> {
    settle(task, Outcome::Aborted(AbortReason::Dropped))
}

/// Settles a task that ends without a run's own outcome.
pub(super) fn aborted(task: AcceptedTask, reason: AbortReason) -> TaskEnd {
    match settle(task, Outcome::Aborted(reason)) {
        Ok(()) => TaskEnd::Aborted(reason),
        Err(end) => end,
    }
}

/// Makes a copy for another run, before this one consumes the task. Returns `false`, with a warning in
/// the log, if there is none: the user's `clone` may also panic.
fn copy(task: &mut BoxTask) -> bool {
    let info = task.info();
    let reason = match contain(|| task.copy()) {
        Ok(true) => return true,
        Ok(false) if info.def().is_none() => "a one-off task runs once".to_owned(),
        Ok(false) => {
            "it cannot be copied: `Task::try_clone` returned `None`, and `.retries(..)`, which copies \
             a task that is `Clone`, was not the first call on it"
                .to_owned()
        }
        Err(panic) => format!("cloning it panicked: {panic}"),
    };
    tracing::warn!(
        target: RUNTIME,
        parent: task.span(),
        {
            task.name = info.name(),
            task.file = info.file(),
            task.line = info.line(),
        },
        "a background task with retries will not run again: {reason}"
    );
    false
}
