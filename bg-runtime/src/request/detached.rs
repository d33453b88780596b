//! Handlers that run to their end in a task of their own, even if the client leaves.
//!
//! Handlers may be nested: that of a layer with `detach` is all that is inside of the layer, and a route
//! with `detach` in there has one of its own, which a timeout between the two does not end. The request ends
//! when its response is there, or, if the client has left, with the last of them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::due::{NoResponse, RequestEnd};
use super::queue::RequestTasks;
use crate::run::Hold;

/// The state of a request some of whose handlers are detached.
#[derive(Default)]
pub(super) struct DetachedState {
    /// How many of them run.
    running: usize,
    /// The end of the latest that has ended.
    end: Option<RequestEnd>,
    /// The [`RequestGuard`](super::RequestGuard) is gone, so the last handler ends the request.
    guard_gone: bool,
}

impl DetachedState {
    /// Returns whether a handler still runs. A response that is already there is not the handler's, but
    /// that of a timeout, say.
    pub(super) fn runs(&self) -> bool {
        self.running > 0
    }

    /// Notes that the guard is gone. Returns how the last handler ended; `None` if one still runs, which
    /// will end the request.
    pub(super) fn leave(&mut self) -> Option<RequestEnd> {
        self.guard_gone = self.runs();
        if self.runs() { None } else { self.end }
    }
}

/// The response of a detached handler. Dropping this lets the handler run on.
#[derive(Debug)]
pub struct DetachedHandler<E> {
    handler: JoinHandle<Result<Response, E>>,
    request: Arc<RequestTasks>,
}

impl<E: Send + 'static> DetachedHandler<E> {
    /// Calls a handler, and spawns its future.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub(crate) fn spawn<F>(request: Arc<RequestTasks>, call: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = Result<Response, E>> + Send + 'static,
    {
        // Before the call: it notes a panic in there.
        let guard = DetachedGuard::new(request.clone());
        let scope = request.scope();
        let called = scope.clone().enter(call);
        let finished = scope.scope(async move {
            let mut response = called.await;
            if let Ok(response) = &mut response {
                guard.finish(response);
            }
            response
        });
        // Boxed, so that `tokio::spawn` is compiled once. It would be compiled for the handler of each
        // route otherwise, detached or not: some 15 KB of a program.
        let finished: BoxFuture<'static, _> = Box::pin(finished.in_current_span());
        Self {
            handler: tokio::spawn(finished),
            request,
        }
    }
}

impl<E> Future for DetachedHandler<E> {
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match ready!(Pin::new(&mut self.handler).poll(cx)) {
            Ok(response) => Poll::Ready(response),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => self
                    .request
                    .watch_panics(|| std::panic::resume_unwind(panic)),
                // Nothing aborts the handler, so the runtime is shutting down, and this future with it.
                Err(_) => Poll::Pending,
            },
        }
    }
}

/// Held by a detached handler, so that its end is noted even if it panics.
struct DetachedGuard {
    request: Arc<RequestTasks>,
    is_noted: bool,
    /// Keeps a shutdown waiting for the handler. As a field it is released after `drop` has ended the
    /// request.
    _hold: Hold,
}

impl DetachedGuard {
    fn new(request: Arc<RequestTasks>) -> Self {
        let mut state = request.state();
        state.detached.get_or_insert_default().running += 1;
        drop(state);
        let hold = request.runner().hold();
        Self {
            request,
            is_noted: false,
            _hold: hold,
        }
    }

    /// Ends the handler with its response. Takes the tasks out of that here, because nothing else will if
    /// the client has left.
    fn finish(mut self, response: &mut Response) {
        self.request.pick_up(response);
        self.is_noted = true;
        self.request
            .finish_detached(RequestEnd::Response(response.status()));
    }
}

impl Drop for DetachedGuard {
    fn drop(&mut self) {
        if self.is_noted {
            return;
        }
        let reason = if std::thread::panicking() {
            NoResponse::HandlerPanicked
        } else {
            NoResponse::HandlerCancelled
        };
        self.request.finish_detached(RequestEnd::None(reason));
    }
}

impl RequestTasks {
    /// Notes how a detached handler ended, and ends the request if this was the last, and if the
    /// [`RequestGuard`](super::RequestGuard) is not there to do so.
    fn finish_detached(self: &Arc<Self>, end: RequestEnd) {
        let ends_request = {
            let mut state = self.state();
            let Some(detached) = &mut state.detached else {
                return;
            };
            detached.running -= 1;
            detached.end = Some(end);
            // Taken, because a handler that a task calls later does not end the request again.
            !detached.runs() && std::mem::take(&mut detached.guard_gone)
        };
        if ends_request {
            self.end_unsent(end);
        }
    }
}
