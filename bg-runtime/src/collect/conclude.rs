//! Who sees to it that every request comes to an end.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;

use super::answer::Answer;
use super::request::RequestTasks;
use crate::run::{Hold, SkipReason};
use crate::task::BoxError;

/// Held by the outermost future of ours that handles the request: it concludes the request, one way
/// or the other.
#[derive(Debug)]
pub(crate) struct Owner(Option<Arc<RequestTasks>>);

impl Owner {
    pub(crate) fn new(request: Arc<RequestTasks>) -> Self {
        Self(Some(request))
    }

    /// Polls the handler; see [`RequestTasks::watch_panics`].
    pub(crate) fn watch_panics<R>(&self, poll: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(request) => request.watch_panics(poll),
            None => poll(),
        }
    }

    pub(crate) fn respond<B>(&mut self, response: Response<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        match self.0.take() {
            Some(request) => request.respond(response),
            None => response.map(Body::new),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if let Some(request) = self.0.take() {
            request.abandon();
        }
    }
}

/// Held by a detached handler, so that its end is noticed even if it panics.
pub(crate) struct DetachedHandler {
    request: Arc<RequestTasks>,
    /// A shutdown waits for the handler.
    _hold: Hold,
}

impl DetachedHandler {
    pub(super) fn new(request: Arc<RequestTasks>) -> Self {
        let hold = request.runner().hold();
        Self {
            request,
            _hold: hold,
        }
    }

    pub(crate) fn finish<B>(self, response: &mut Response<B>) {
        self.request.pick_up(response);
        self.request
            .detached_finished(Answer::Status(response.status()));
    }
}

impl Drop for DetachedHandler {
    fn drop(&mut self) {
        let reason = if std::thread::panicking() {
            SkipReason::HandlerPanicked
        } else {
            SkipReason::HandlerCancelled
        };
        self.request.detached_finished(Answer::None(reason));
    }
}
