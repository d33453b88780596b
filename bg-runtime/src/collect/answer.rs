//! What became of a request, and which of its tasks run after that.

use http::StatusCode;

use crate::run::Accepted;
use crate::task::{List, Member, SkipReason, When};

/// What became of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Status(StatusCode),
    None(NoResponse),
}

/// Why there is no response.
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

/// Whether all of the list is to run after this answer.
pub(super) fn is_due(list: &List<Accepted>, answer: Answer, attached_to_answer: bool) -> bool {
    let mut is_due = true;
    list.visit(&mut |task| {
        let when = task.queued.options().when;
        is_due &= skip_reason(when, answer, attached_to_answer).is_none();
    });
    is_due
}

/// What of the list is to run after this answer. The rest is settled as skipped.
pub(super) fn due(
    list: List<Accepted>,
    answer: Answer,
    attached_to_answer: bool,
) -> List<Accepted> {
    list.filter_map(&mut |task| match skip_reason(
        task.queued.options().when,
        answer,
        attached_to_answer,
    ) {
        None => Some(Member::Task(task)),
        Some(reason) => {
            task.skip(reason);
            None
        }
    })
}

fn skip_reason(when: When, answer: Answer, attached_to_answer: bool) -> Option<SkipReason> {
    let failed = match answer {
        Answer::Status(status) if status.is_client_error() || status.is_server_error() => {
            Some(SkipReason::ErrorResponse(status))
        }
        Answer::Status(_) => None,
        Answer::None(reason) => Some(reason.into()),
    };
    match (when, answer) {
        (When::Always, _) => None,
        (When::OnErrorResponse, Answer::Status(status)) if failed.is_none() => {
            Some(SkipReason::NoErrorResponse(status))
        }
        (When::OnErrorResponse, _) => None,
        (When::Default, Answer::Status(_)) if attached_to_answer => None,
        (When::Default, _) => failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: Answer = Answer::Status(StatusCode::OK);
    const NOT_FOUND: Answer = Answer::Status(StatusCode::NOT_FOUND);
    const PANICKED: Answer = Answer::None(NoResponse::HandlerPanicked);

    fn runs(when: When, answer: Answer, attached_to_answer: bool) -> bool {
        skip_reason(when, answer, attached_to_answer).is_none()
    }

    #[test]
    fn a_failed_request_promised_nothing_unless_the_task_came_with_its_answer() {
        assert!(runs(When::Default, OK, false));
        assert!(!runs(When::Default, NOT_FOUND, false));
        assert!(runs(When::Default, NOT_FOUND, true));
        assert!(
            !runs(When::Default, PANICKED, true),
            "there was no answer to come with"
        );
    }

    #[test]
    fn always_runs_whatever_comes() {
        assert!(
            [OK, NOT_FOUND, PANICKED]
                .iter()
                .all(|answer| runs(When::Always, *answer, false))
        );
    }

    #[test]
    fn on_error_response_runs_only_when_something_went_wrong() {
        assert!(!runs(When::OnErrorResponse, OK, true));
        assert!(runs(When::OnErrorResponse, NOT_FOUND, false));
        assert!(runs(When::OnErrorResponse, PANICKED, false));
    }

    #[test]
    fn a_redirect_is_no_error() {
        assert!(runs(
            When::Default,
            Answer::Status(StatusCode::SEE_OTHER),
            false
        ));
        assert!(!runs(
            When::OnErrorResponse,
            Answer::Status(StatusCode::SEE_OTHER),
            false
        ));
    }
}
