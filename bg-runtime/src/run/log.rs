//! The `tracing` events of failures that no hook is there for.

use tracing::Span;

use super::failure::{Chain, FailureKind, SkipReason, TaskFailure};
use crate::one_line::OneLine;
use crate::task::TaskInfo;

pub(super) fn log(failure: &TaskFailure, span: &Span) {
    // `tracing` fixes the level of an event where the event is written, so each level is written
    // once.
    macro_rules! event {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                parent: span,
                task.name = failure.task().name(),
                task.id = failure.id().get(),
                task.file = failure.task().file(),
                task.line = failure.task().line(),
                task.attempt = failure.attempt(),
                kind = %failure.kind(),
                error = %OneLine(Chain(failure.error())),
                arguments = failure.arguments(),
                elapsed_ms = failure.elapsed().as_secs_f64() * 1e3,
                http.method = failure.request().map(|request| request.method().as_str()),
                http.path = failure.request().map(|request| request.path()),
                request_id = failure.request().and_then(|request| request.request_id()),
                skipped = ?failure.skipped().iter().map(TaskInfo::name).collect::<Vec<_>>(),
                $message
            )
        };
    }
    match failure.kind() {
        _ if failure.will_retry() => event!(warn, "background task failed, and will run again"),
        FailureKind::Skipped if is_the_clients_doing(failure) => {
            event!(info, "background task skipped");
        }
        FailureKind::Skipped => event!(error, "background task skipped"),
        FailureKind::Aborted => event!(error, "background task aborted"),
        FailureKind::Rejected => event!(error, "background task rejected"),
        FailureKind::Error | FailureKind::Panic | FailureKind::Timeout => {
            event!(error, "background task failed");
        }
    }
}

/// Clients cause error responses, and go away, as they please: that is no error of the server.
fn is_the_clients_doing(failure: &TaskFailure) -> bool {
    matches!(
        failure.error().downcast_ref(),
        Some(SkipReason::ErrorResponse(_) | SkipReason::HandlerCancelled | SkipReason::NoRoom)
    )
}
