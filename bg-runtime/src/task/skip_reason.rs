use std::error::Error;
use std::fmt;

use http::StatusCode;

/// Why a task did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SkipReason {
    /// A task before it in its list failed.
    EarlierFailure {
        /// The task that failed.
        failed: &'static str,
    },
    /// A task before it in its list was refused, because of a limit.
    EarlierRefusal {
        /// The task that was refused.
        refused: &'static str,
    },
    /// A task before it in its list was aborted by its handle
    /// ([`TaskHandle::abort`](crate::TaskHandle::abort)).
    EarlierAbort {
        /// The task that was aborted.
        aborted: &'static str,
    },
    /// The response is an error (status 400 and above), and a failed request promises nothing.
    ErrorResponse(StatusCode),
    /// The task runs only after an error response (`.on_error_response()`), and the response was not
    /// one.
    NoErrorResponse(StatusCode),
    /// The handler was dropped before it responded, most often because the client went away.
    HandlerCancelled,
    /// The handler panicked.
    HandlerPanicked,
    /// The client went away while the response was held back, because there was no room for its tasks
    /// ([`Overflow::Wait`](crate::Overflow::Wait)).
    NoRoom,
    /// The task came with a response that no route attribute and no layer picked up.
    ResponseNotPickedUp,
    /// The task's list was dropped without having been attached to anything.
    NeverAttached,
    /// The task had not begun by the time at which it expires
    /// ([`TaskDef::expires`](crate::TaskDef::expires)).
    Expired,
    /// A newer task of its key took its room ([`OnFull::Replace`](crate::OnFull::Replace)).
    Replaced,
    /// There are enough tasks of its key already ([`OnFull::Ignore`](crate::OnFull::Ignore)).
    Duplicate,
    /// The task's route stands under no [`Background`](crate::Background), and more than one is alive. An
    /// error in the log names the route.
    NoBackground,
}

impl SkipReason {
    /// Returns whether error hooks and the log hear about it. `false` for a condition that did not
    /// hold, for tasks that the earlier failure has already listed, and for what `on_full` asks for.
    pub(crate) fn is_reported(self) -> bool {
        !matches!(
            self,
            Self::NoErrorResponse(_)
                | Self::EarlierFailure { .. }
                | Self::Replaced
                | Self::Duplicate
        )
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlierFailure { failed } => write!(f, "`{failed}`, before it in the same list, failed"),
            Self::EarlierRefusal { refused } => {
                write!(f, "`{refused}`, before it in the same list, was refused")
            }
            Self::EarlierAbort { aborted } => {
                write!(f, "`{aborted}`, before it in the same list, was aborted by its handle")
            }
            Self::ErrorResponse(status) => {
                write!(f, "the response is an error ({status}); `.always()` runs the task anyway")
            }
            Self::NoErrorResponse(status) => write!(f, "the response is no error ({status})"),
            Self::HandlerCancelled => {
                f.write_str("the handler was dropped before it responded; `detach` on the route lets it finish")
            }
            Self::HandlerPanicked => f.write_str("the handler panicked"),
            Self::NoRoom => f.write_str(
                "the client went away while its response waited for room (`max_pending`)",
            ),
            Self::ResponseNotPickedUp => f.write_str(
                "it came with a response that nothing picked up: with `background.serve(..)`, a layer or a route \
                 attribute, a middleware inside of it threw the response away or built a new one, so queue the task \
                 with the extractor `BackgroundTasks`; without one of these, run the app with \
                 `background.serve(..)`, or add `.layer(background.layer())` to the router",
            ),
            Self::NeverAttached => f.write_str(
                "its list was dropped: return the list with the response, or take `BackgroundTasks` as an argument \
                 of the handler instead of making a new one",
            ),
            Self::Expired => f.write_str("it had not begun by the time at which it expires"),
            Self::Replaced => f.write_str("a newer task of its key replaced it"),
            Self::Duplicate => f.write_str("there are enough tasks of its key already"),
            Self::NoBackground => f.write_str(
                "its route stands under no `Background`, and more than one is alive: run the app with \
                 `background.serve(..)`, or add `.layer(background.layer())` to the router after its routes",
            ),
        }
    }
}

impl Error for SkipReason {}
