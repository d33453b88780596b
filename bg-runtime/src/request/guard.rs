//! Guards that end a request exactly once, whatever happens to its future.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::Response;
use http_body::Body as HttpBody;

use super::queue::RequestTasks;
use crate::task::BoxError;

/// Ends its request: with the response from [`poll_response`](Self::poll_response), or without one when
/// it is dropped before that.
///
/// Held by the outermost of this crate's futures that handle the request, in a field after the inner
/// future. So it is dropped after that, and tasks that the destructors of the handler's future queue
/// are still part of the request (`service/layer.rs`, `route/handler.rs`).
pub(crate) struct RequestGuard {
    /// `None` once the request has its response.
    request: Option<Arc<RequestTasks>>,
    held_back: Option<HeldBack>,
}

/// A response that waits for what it promises.
struct HeldBack {
    response: Response<Body>,
    /// Returns a response to send instead, if the promises of this one cannot be kept.
    wait: BoxFuture<'static, Option<Response<Body>>>,
}

impl RequestGuard {
    pub(crate) fn new(request: Arc<RequestTasks>) -> Self {
        Self {
            request: Some(request),
            held_back: None,
        }
    }

    /// Polls `handler` for the response, unless it is already here and is held back.
    pub(crate) fn poll_response<B, E>(
        &mut self,
        cx: &mut Context<'_>,
        handler: impl FnOnce(&mut Context<'_>) -> Poll<Result<Response<B>, E>>,
    ) -> Poll<Result<Response<Body>, E>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if self.held_back.is_none() {
            let mut response = match ready!(self.watch_panics(|| handler(cx))) {
                Ok(response) => response,
                // No response: the request ends when this guard is dropped.
                Err(error) => return Poll::Ready(Err(error)),
            };
            let request = self.request.as_ref();
            let Some(wait) = request.and_then(|request| request.hold_back(&mut response)) else {
                return Poll::Ready(Ok(self.respond(response)));
            };
            self.held_back = Some(HeldBack {
                response: response.map(Body::new),
                wait,
            });
        }
        if let Some(held_back) = &mut self.held_back {
            if let Some(instead) = ready!(held_back.wait.poll_unpin(cx)) {
                held_back.response = instead;
            }
        }
        match self.held_back.take() {
            Some(HeldBack { response, .. }) => Poll::Ready(Ok(self.respond(response))),
            None => Poll::Pending,
        }
    }

    /// Polls the handler; see [`RequestTasks::watch_panics`].
    fn watch_panics<R>(&self, poll: impl FnOnce() -> R) -> R {
        match &self.request {
            Some(request) => request.watch_panics(poll),
            None => poll(),
        }
    }

    fn respond<B>(&mut self, response: Response<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.request.take() {
            Some(request) => request.respond(response),
            None => response.map(Body::new),
        }
    }
}

impl fmt::Debug for RequestGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestGuard")
            .field("request", &self.request)
            .field("held_back", &self.held_back.is_some())
            .finish()
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            request.abandon();
        }
    }
}
