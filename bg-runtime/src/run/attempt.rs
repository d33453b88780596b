//! One run of one task.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::failure::{FailureKind, SkipReason, TimedOut};
use super::ledger::{Outcome, Ticket};
use super::{Accepted, Runner};
use crate::collect::QueuedTask;
use crate::contain::{Contained, Panicked, contain};
use crate::task::{BoxError, TaskContext, TaskInfo};

impl Accepted {
    /// Settles a task that will not run.
    pub(crate) fn skip(self, reason: SkipReason) {
        let Self { queued, ticket } = self;
        if reason.is_news() && ticket.runner().has_audience(&queued.info()) {
            ticket.show(shown_arguments(&queued));
        }
        ticket.settle(Outcome::Skipped(reason));
    }
}

/// A task that failed, whose outcome is settled once it is known what its failure keeps from
/// running.
pub(super) struct Failed {
    pub(super) info: TaskInfo,
    ticket: Ticket,
    kind: FailureKind,
    error: Contained<BoxError>,
}

impl Failed {
    pub(super) fn settle(self, skipped: Vec<TaskInfo>) {
        let Self {
            ticket,
            kind,
            error,
            ..
        } = self;
        ticket.settle(Outcome::Failed {
            kind,
            error,
            skipped,
        });
    }
}

impl Runner {
    /// Runs the task, and settles its outcome unless it failed.
    pub(super) async fn run_task(self: &Arc<Self>, accepted: Accepted) -> Result<(), Failed> {
        let Accepted { queued, ticket } = accepted;
        let info = queued.info();
        if self.has_audience(&info) {
            ticket.show(shown_arguments(&queued));
        }
        if !ticket.start() {
            // A shutdown or the handle was faster.
            return Ok(());
        }

        // Dropping the future of a synchronous task does not stop it, so it must be told by itself.
        let own_cancel = info.is_blocking().then(|| self.cancel.child_token());
        let _told_when_dropped = own_cancel.clone().map(CancellationToken::drop_guard);
        let cx = TaskContext {
            id: queued.id(),
            task: info,
            attempt: 1,
            request: ticket.request(),
            cancelled: own_cancel.unwrap_or_else(|| self.cancel.clone()),
            runner: self.clone(),
        };
        let span = queued.span().clone();
        span.record("task.attempt", 1);

        match run(queued, cx, info.timeout()).instrument(span).await {
            Ok(()) => {
                ticket.settle(Outcome::Completed);
                Ok(())
            }
            Err((kind, error)) => Err(Failed {
                info,
                ticket,
                kind,
                error,
            }),
        }
    }
}

async fn run(queued: QueuedTask, cx: TaskContext, timeout: Option<Duration>) -> Result<(), Ending> {
    // In an async block, because the call that makes the task's future may panic as well.
    let mut work = Box::pin(AssertUnwindSafe(async move { queued.run(cx).await }).catch_unwind());
    let ended = match timeout {
        None => Ok(work.as_mut().await),
        Some(limit) => tokio::time::timeout(limit, work.as_mut())
            .await
            .map_err(|_| TimedOut(limit)),
    };
    // What the task still holds is dropped here, where a panic in a destructor stays among us.
    let dropped = contain(|| drop(work));
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

/// How a run failed.
type Ending = (FailureKind, Contained<BoxError>);

/// The user's `Debug` may panic too; then the arguments are not shown.
fn shown_arguments(queued: &QueuedTask) -> Option<String> {
    let shown = contain(|| queued.arguments()).ok().flatten();
    shown.filter(|shown| !shown.is_empty())
}
