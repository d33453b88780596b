//! One task, from its turn to its outcome: the wait before it, its runs, and the waits between them.

use std::sync::Arc;

use tokio::time::Instant;

use super::attempt::attempt;
use super::end_of_wait::end_of_wait;
use super::limits::ListSlot;
use super::outcome::{Outcome, RunError};
use super::settle::OutcomeGuard;
use super::{AcceptedTask, Runner};
use crate::contain::contain;
use crate::task::{AbortReason, BoxTask, TaskInfo};

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
        let timeout = accepted.task.timeout();

        let delay = accepted.task.options().delay;
        if !delay.is_zero() {
            let until = end_of_wait(Instant::now(), delay);
            if wait(runner, until, slot).await.is_err() {
                return Err(aborted(accepted, AbortReason::Shutdown));
            }
        }
        let mut number = 1;
        loop {
            let info = accepted.task.info();
            let limits = &runner.limits;
            let run_permits = limits.acquire_run(&info, &accepted.permits, slot).await;
            let may_run_again = number <= retries && copy(&mut accepted.task);
            let Some(started) = accepted.guard.start(number, &accepted.task) else {
                // A shutdown or the handle has settled it meanwhile.
                return Ok(());
            };
            limits.start(&accepted.permits);
            let ended = attempt(runner, &mut accepted, started, number, timeout).await;
            // Before the outcome is reported, and before the wait for another run, so that others of the
            // same key or name can run meanwhile.
            drop(run_permits);
            let error = match ended {
                Ok(()) => {
                    accepted.settle(Outcome::Completed);
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(reason) = error.aborted() {
                return Err(aborted(accepted, reason));
            }
            if !may_run_again {
                // The rest of `accepted` is dropped here, so that the task's span closes before the list
                // settles the guard.
                return Err(TaskEnd::Failed {
                    info,
                    guard: accepted.guard,
                    error,
                });
            }
            // Before the failure is reported, so that a hook that queues tasks finds this one waiting.
            limits.wait_again(&accepted.permits);
            let backoff = info.backoff().wait(number, fastrand::u64(..));
            let until = end_of_wait(Instant::now(), backoff);
            let span = accepted.task.span();
            if !accepted.guard.wait_again(span, number, retries, error) {
                return Ok(());
            }
            if wait(runner, until, slot).await.is_err() {
                return Err(aborted(accepted, AbortReason::Shutdown));
            }
            number = number.saturating_add(1);
        }
    }
}

fn aborted(task: AcceptedTask, reason: AbortReason) -> TaskEnd {
    task.settle(Outcome::Aborted(reason));
    TaskEnd::Aborted(reason)
}

/// Waits outside the slot, unless a shutdown ends before the wait does.
///
/// Rare, so boxed.
async fn wait(
    runner: &Runner,
    until: Instant,
    slot: &mut ListSlot,
) -> Result<(), ShutdownIsSooner> {
    slot.release();
    Box::pin(async move {
        tokio::select! {
            biased;
            () = runner.periods.ends_before(until) => Err(ShutdownIsSooner),
            () = runner.dispatch.wait_until(until) => Ok(()),
        }
    })
    .await
}

struct ShutdownIsSooner;

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
        parent: task.span(),
        task.name = info.name(),
        task.file = info.file(),
        task.line = info.line(),
        "a background task with retries will not run again: {reason}"
    );
    false
}
