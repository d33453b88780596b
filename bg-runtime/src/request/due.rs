//! Which tasks run after a request has ended, and how it ended.

use http::StatusCode;

use crate::run::AcceptedTask;
use crate::task::{Item, SkipReason, TaskList, When};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestEnd {
    Response(StatusCode),
    None(NoResponse),
}

/// Why there is no response: three of the [`SkipReason`]s, in one byte, because every request has space
/// for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoResponse {
    HandlerCancelled,
    HandlerPanicked,
    NoRoom,
}

impl From<NoResponse> for SkipReason {
    fn from(reason: NoResponse) -> Self {
        match reason {
            NoResponse::HandlerCancelled => Self::HandlerCancelled,
            NoResponse::HandlerPanicked => Self::HandlerPanicked,
            NoResponse::NoRoom => Self::NoRoom,
        }
    }
}

/// Returns whether all tasks of the list run after this end of their request.
///
/// `whatever_status` also stands for tasks that were added after the status was known.
pub(super) fn is_due(
    list: &TaskList<AcceptedTask>,
    end: RequestEnd,
    whatever_status: bool,
) -> bool {
    let mut is_due = true;
    list.visit(&mut |accepted| {
        let when = accepted.task.options().when;
        is_due &= skip_reason(when, end, whatever_status).is_none();
    });
    is_due
}

/// Returns the tasks of the list that run after this end of their request. The others are settled as
/// skipped.
pub(super) fn due(
    list: TaskList<AcceptedTask>,
    end: RequestEnd,
    whatever_status: bool,
) -> TaskList<AcceptedTask> {
    list.filter_map(&mut |accepted| match skip_reason(
        accepted.task.options().when,
        end,
        whatever_status,
    ) {
        None => Some(Item::Task(accepted)),
        Some(reason) => {
            accepted.skip(reason);
            None
        }
    })
}

/// Returns why a task does not run after this end of its request; `None` if it runs.
pub(super) fn skip_reason(
    when: When,
    end: RequestEnd,
    whatever_status: bool,
) -> Option<SkipReason> {
    let failed = match end {
        RequestEnd::Response(status) if status.is_client_error() || status.is_server_error() => {
            Some(SkipReason::ErrorResponse(status))
        }
        RequestEnd::Response(_) => None,
        RequestEnd::None(reason) => Some(reason.into()),
    };
    match (when, end) {
        (When::Always, _) => None,
        (When::OnErrorResponse, RequestEnd::Response(status)) if failed.is_none() => {
            Some(SkipReason::NoErrorResponse(status))
        }
        (When::OnErrorResponse, _) => None,
        (When::Default, RequestEnd::Response(_)) if whatever_status => None,
        (When::Default, _) => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: RequestEnd = RequestEnd::Response(StatusCode::OK);
    const NOT_FOUND: RequestEnd = RequestEnd::Response(StatusCode::NOT_FOUND);
    const PANICKED: RequestEnd = RequestEnd::None(NoResponse::HandlerPanicked);

    fn runs(when: When, end: RequestEnd, whatever_status: bool) -> bool {
        skip_reason(when, end, whatever_status).is_none()
    }

    #[test]
    fn a_failed_request_runs_only_tasks_that_came_with_its_response() {
        assert!(runs(When::Default, OK, false));
        assert!(!runs(When::Default, NOT_FOUND, false));
        assert!(runs(When::Default, NOT_FOUND, true));
        assert!(
            !runs(When::Default, PANICKED, true),
            "there was no response to come with"
        );
    }

    #[test]
    fn an_always_task_runs_after_every_end_of_its_request() {
        assert!(
            [OK, NOT_FOUND, PANICKED]
                .iter()
                .all(|end| runs(When::Always, *end, false))
        );
    }

    #[test]
    fn an_on_error_response_task_runs_after_an_error_or_a_panic() {
        assert!(!runs(When::OnErrorResponse, OK, true));
        assert!(runs(When::OnErrorResponse, NOT_FOUND, false));
        assert!(runs(When::OnErrorResponse, PANICKED, false));
    }

    #[test]
    fn a_redirect_is_not_an_error_response() {
        assert!(runs(
            When::Default,
            RequestEnd::Response(StatusCode::SEE_OTHER),
            false
        ));
        assert!(!runs(
            When::OnErrorResponse,
            RequestEnd::Response(StatusCode::SEE_OTHER),
            false
        ));
    }
}
