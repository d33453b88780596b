//! One run of one task.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either, FutureExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::accepted::AcceptedParts;
use super::limits::RunLease;
use super::outcome::RunError;
use super::settle::StartedRun;
use super::{AcceptedTask, Runner};
use crate::contain::{Contained, Panicked, contain};
use crate::scope::by_hook;
use crate::task::{BoxError, FailureKind, TaskContext, TaskRef, TimedOut};

/// Runs the task once. The thread of a synchronous task has a share of the lease. `own_cancel` is for a task that more
/// than the shutdown asks to stop.
pub(super) async fn attempt(
    runner: &Arc<Runner>,
    accepted: &mut AcceptedTask,
    started: StartedRun,
    lease: Option<&RunLease>,
    attempt: u32,
    timeout: Option<Duration>,
    own_cancel: Option<CancellationToken>,
) -> Result<(), RunError> {
    // Copied out of the task: borrows of it would take up space in the future until the run has ended.
    let AcceptedParts { task, guard, .. } = &mut **accepted;
    let (info, span) = (task.info(), task.run_span(attempt));
    // Dropping the future of a synchronous task does not stop the task, so that cancels its context.
    let signals = runner.signals();
    let own_cancel = own_cancel.or_else(|| {
        let is_blocking = info.is_blocking();
        is_blocking.then(|| runner.cancellation(signals).child_token())
    });
    let _cancelled_on_drop = own_cancel.clone().map(CancellationToken::drop_guard);
    let cx = TaskContext {
        task: TaskRef {
            task: info,
            id: task.id(),
            request: started.request,
        },
        attempt,
        own_cancel,
        signals,
        entry: guard.key(),
        #[cfg(feature = "durable")]
        baggage: task.options().baggage.clone(),
        runner: runner.clone(),
    };

    // Lazy, so that a panic of the call that makes the task's future is caught as well.
    let work = future::lazy(move |_| {
        let run = task.run(cx);
        match lease {
            None => run,
            Some(lease) => lease.share().scope(run).boxed(),
        }
    })
    .flatten();
    // `Either` rather than an `async` block, which would store the work twice.
    let work = if guard.is_by_hook() {
        Either::Left(by_hook(work))
    } else {
        Either::Right(work)
    };
    let work = runner.slow_polls.watch(info, work);
    let mut work = pin!(Some(AssertUnwindSafe(work).catch_unwind()));
    async {
        let running = work
            .as_mut()
            .as_pin_mut()
            .expect("the work is dropped only after it has run");
        let ended = match timeout {
            None => Ok(running.await),
            // Rare, so boxed.
            Some(limit) => Box::pin(tokio::time::timeout(limit, running))
                .await
                .map_err(|_| TimedOut(limit)),
        };
        // Within the task's span, and before its outcome is known: the destructors of what the task
        // still holds are a part of the run, and one that panics makes it fail.
        let dropped = contain(|| work.set(None));
        let (kind, error): (_, BoxError) = match ended {
            Ok(Ok(Ok(()))) => match dropped {
                Ok(()) => return Ok(()),
                Err(panicked) => (FailureKind::Panic, panicked.into()),
            },
            Ok(Ok(Err(error))) => (FailureKind::Error, error),
            Ok(Err(payload)) => (FailureKind::Panic, Panicked::new(payload).into()),
            Err(timed_out) => (FailureKind::Timeout, timed_out.into()),
        };
        Err(RunError {
            kind,
            error: Contained::new(error),
        })
    }
    .instrument(span)
    .await
}
