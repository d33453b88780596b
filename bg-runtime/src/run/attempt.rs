//! One run of one task.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, Either, FutureExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::ledger::Started;
use super::outcome::RunError;
use super::{AcceptedTask, Runner};
use crate::contain::{Contained, Panicked, contain};
use crate::scope::by_hook;
use crate::task::{BoxError, FailureKind, TaskContext, TaskRef, TimedOut};

/// Runs the task once.
pub(super) async fn attempt(
    runner: &Arc<Runner>,
    accepted: &mut AcceptedTask,
    started: Started,
    attempt: u32,
    timeout: Option<Duration>,
) -> Result<(), RunError> {
    // Copies of what is used below: borrowed, they would take up space in the future until the run
    // has ended.
    let AcceptedTask { task, guard, .. } = accepted;
    task.span().record("task.attempt", attempt);
    let (info, span) = (task.info(), task.span().clone());
    // Dropping the future of a synchronous task does not stop it, so its context is cancelled when
    // that happens.
    let own_cancel = info
        .is_blocking()
        .then(|| runner.cancellation().child_token());
    let _cancelled_on_drop = own_cancel.clone().map(CancellationToken::drop_guard);
    let cx = TaskContext {
        task: TaskRef {
            task: info,
            id: task.id(),
            request: started.request,
        },
        attempt,
        own_cancel,
        key: guard.key(),
        runner: runner.clone(),
    };

    // Lazy, because the call that makes the task's future may panic as well.
    let work = future::lazy(move |_| task.run(cx)).flatten();
    // Not an async block, which would have space for the work twice.
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
            .expect("it is dropped when it has run");
        let ended = match timeout {
            None => Ok(running.await),
            // Rare, so boxed.
            Some(limit) => Box::pin(tokio::time::timeout(limit, running))
                .await
                .map_err(|_| TimedOut(limit)),
        };
        // Drops what the task still holds, in its span, and contains the panic of a destructor.
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
