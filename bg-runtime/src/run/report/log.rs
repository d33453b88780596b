//! The sink for `tracing`: the first and the last event of each task, and its failures.

use std::fmt;
use std::time::Duration;

use tracing::Span;

use super::{Event, Step};
use crate::contain::contain;
use crate::log_target::{FAILURE, TASK};
use crate::one_line::OneLine;
use crate::run::Runner;
use crate::task::{Chain, FailureKind, RequestInfo, SkipReason, TaskFailure, TaskInfo};

#[inline]
pub(super) fn record(runner: &Runner, event: &Event<'_>) {
    match event.step {
        Step::Queued => tracing::debug!(
            target: TASK,
            parent: event.span,
            {
                task.name = event.task.task.name(),
                task.id = %event.task.id,
                // How many wait already. Read only for a subscriber that wants this event, because it takes the
                // lock of the books.
                pending = runner.stats().pending,
            },
            "background task queued"
        ),
        Step::Ended {
            outcome,
            ran,
            quiet,
            ..
        } => tracing::debug!(
            target: TASK,
            parent: event.span,
            {
                task.name = event.task.task.name(),
                outcome,
                reason = quiet.map(|failure| tracing::field::display(failure.error())),
                attempts = ran.attempts(),
                duration_ms = millis(ran.elapsed().unwrap_or_default()),
            },
            "background task finished"
        ),
        Step::Started { .. } | Step::RunFailed { .. } => {}
    }
}

/// In whole microseconds, so that text logs show no more digits than are known.
fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

/// Logs a failure. Contained, because the event shows the user's `Display`.
pub(super) fn failure(failure: &TaskFailure, span: &Span) {
    if let Err(panic) = contain(|| show(failure, span)) {
        tracing::error!(
            target: FAILURE,
            parent: span,
            {
                task.name = failure.task().name(),
                task.id = %failure.id(),
                kind = %failure.kind(),
                panic = %OneLine(panic),
            },
            "reporting a background task's failure panicked"
        );
    }
}

fn show(failure: &TaskFailure, span: &Span) {
    let request = failure.request();
    // The level of a `tracing` event is fixed where the event is written, so each level needs its own.
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                target: FAILURE,
                parent: span,
                {
                    task.name = failure.task().name(),
                    task.id = %failure.id(),
                    task.file = failure.task().file(),
                    task.line = failure.task().line(),
                    task.attempt = failure.attempt(),
                    kind = %failure.kind(),
                    error = %OneLine(Chain(failure.error())),
                    arguments = failure.arguments(),
                    retry_in_ms = failure.retry_in().map(millis),
                    elapsed_ms = millis(failure.elapsed()),
                    http.method = request.map(|request| OneLine(request.method()).to_string()),
                    http.path = request.map(|request| OneLine(request.path()).to_string()),
                    request_id = request.and_then(RequestInfo::request_id).map(|id| OneLine(id).to_string()),
                    skipped = ?Names(failure.skipped()),
                },
                $message
            )
        };
    }
    match failure.kind() {
        _ if failure.will_retry() => event!(warn, "background task failed, and will run again"),
        FailureKind::Skipped if is_caused_by_the_client(failure) => {
            event!(info, "background task skipped");
        }
        FailureKind::Skipped if failure.error().downcast_ref() == Some(&SkipReason::Expired) => {
            event!(warn, "background task skipped");
        }
        FailureKind::Skipped => event!(error, "background task skipped"),
        FailureKind::Aborted => event!(error, "background task aborted"),
        FailureKind::Rejected => event!(warn, "background task rejected"),
        FailureKind::NotStored => event!(error, "background task not stored"),
        FailureKind::Error
        | FailureKind::Panic
        | FailureKind::Timeout
        | FailureKind::Undecodable
        | FailureKind::Lost => {
            event!(error, "background task failed");
        }
    }
}

/// Returns whether the client is the cause. Clients may cause error responses, and go away, at any time,
/// which is not an error of the server.
fn is_caused_by_the_client(failure: &TaskFailure) -> bool {
    matches!(
        failure.error().downcast_ref(),
        Some(SkipReason::ErrorResponse(_) | SkipReason::HandlerCancelled | SkipReason::NoRoom)
    )
}

/// The names of the first tasks, and the number of the others: a request may have queued thousands.
struct Names<'a>(&'a [TaskInfo]);

impl Names<'_> {
    const SHOWN: usize = 20;
}

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().take(Self::SHOWN).map(TaskInfo::name);
        let mut list = f.debug_list();
        list.entries(shown);
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => {}
            more => {
                list.entry(&format_args!("and {more} more"));
            }
        }
        list.finish()
    }
}
