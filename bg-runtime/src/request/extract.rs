use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use super::BackgroundTasks;
use super::after_response::current;
use super::queue::RequestTasks;
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;

#[diagnostic::do_not_recommend]
impl<S: Sync> FromRequestParts<S> for BackgroundTasks {
    type Rejection = MissingBackground;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingBackground> {
        find(parts).ok_or_else(|| MissingBackground::new("BackgroundTasks", parts))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for BackgroundTasks {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(find(parts))
    }
}

/// Returns the tasks of the request, or else those of the request that is being handled, on whose behalf
/// this one is.
pub(super) fn tasks_of(parts: &Parts) -> Option<Arc<RequestTasks>> {
    RequestTasks::of(&parts.extensions).or_else(current)
}

fn find(parts: &Parts) -> Option<BackgroundTasks> {
    let request = tasks_of(parts)?;
    // A layer has seen the request before the router did.
    request.complete_info(&parts.headers, &parts.extensions);
    request.hand_out();
    Some(BackgroundTasks::of_request(request))
}

/// The rejection of [`BackgroundTasks`] and of [`Stopping`](crate::Stopping) if nothing collects the
/// request's tasks.
///
/// As a response it is a 500 whose body says nothing private. What to add to the app is logged as an
/// error.
#[derive(Debug)]
pub struct MissingBackground {
    extractor: &'static str,
    path: String,
}

impl MissingBackground {
    pub(super) fn new(extractor: &'static str, parts: &Parts) -> Self {
        Self {
            extractor,
            path: parts.uri.path().to_owned(),
        }
    }
}

impl fmt::Display for MissingBackground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the handler of \"{}\" takes `{}`, but nothing collects the tasks of its requests: run the app \
             with `background.serve(..)`, add `.layer(background.layer())` to the router, or put a route \
             attribute such as `#[post(..)]` on the handler",
            OneLine(&self.path),
            self.extractor
        )
    }
}

impl std::error::Error for MissingBackground {}

impl IntoResponse for MissingBackground {
    fn into_response(self) -> Response {
        tracing::error!(target: RUNTIME, "{self}");
        (StatusCode::INTERNAL_SERVER_ERROR, "internal server error").into_response()
    }
}
