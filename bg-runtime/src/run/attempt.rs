//! One run of one task.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{self, FutureExt};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::ledger::Started;
use super::{Accepted, Runner, hook};
use crate::contain::{Contained, Panicked, contain};
use crate::task::{BoxError, FailureKind, TaskContext, TimedOut};

/// How a run failed.
pub(super) type Ending = (FailureKind, Contained<BoxError>);

impl Runner {
    /// Runs the task once.
    pub(super) async fn attempt(
        self: &Arc<Self>,
        accepted: &mut Accepted,
        started: Started,
        timeout: Option<Duration>,
    ) -> Result<(), Ending> {
        // Neither the span nor what is known of the task is borrowed below, or the future would have
        // space for them until the run has ended.
        let Accepted { queued, ticket, .. } = accepted;
        queued.span().record("task.attempt", started.attempt);
        let (task, span) = (queued.info(), queued.span().clone());
        // Dropping the future of a synchronous task does not stop it, so it must be told by itself.
        let is_blocking = queued.info().is_blocking();
        let own_cancel = is_blocking.then(|| self.cancel.child_token());
        let _told_when_dropped = own_cancel.clone().map(CancellationToken::drop_guard);
        let cx = TaskContext {
            id: queued.id(),
            task,
            attempt: started.attempt,
            request: started.request,
            own_cancel,
            place: ticket.place(),
            runner: self.clone(),
        };

        // Lazy, because the call that makes the task's future may panic as well.
        let work = future::lazy(move |_| queued.run(cx)).flatten();
        let work = hook::on_behalf_of(ticket.is_by_hook(), work);
        let work = self.slow_polls.watch(task, work);
        let mut work = pin!(Some(AssertUnwindSafe(work).catch_unwind()));
        async {
            let running = work
                .as_mut()
                .as_pin_mut()
                .expect("it is dropped when it has run");
            let ended = match timeout {
                None => Ok(running.await),
                Some(limit) => Box::pin(tokio::time::timeout(limit, running))
                    .await
                    .map_err(|_| TimedOut(limit)),
            };
            // What the task still holds is dropped here, where a panic in a destructor stays among
            // us.
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
            Err((kind, Contained::new(error)))
        }
        .instrument(span)
        .await
    }
}
