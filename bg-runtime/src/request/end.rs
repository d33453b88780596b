//! The end of a request, with a response or without one.

use std::mem::take;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body::Body as HttpBody;

use super::due::{NoResponse, RequestEnd, due, is_due};
#[cfg(feature = "durable")]
use super::outbox::OutboxEnd;
use super::queue::{Lists, Phase, RequestTasks, Transfer};
use super::response_parts;
use super::sent::GuardedBody;
use crate::task::{BoxError, ResponseInfo};

impl RequestTasks {
    /// Takes the tasks out of a response on its way out, before anything further out can lose them.
    pub(crate) fn pick_up<B>(self: &Arc<Self>, response: &mut Response<B>) {
        response_parts::pick_up(response.extensions_mut(), self);
    }

    /// Decides which tasks run, and gives the response a body that reports when it has been sent.
    pub(super) fn respond<B>(self: &Arc<Self>, mut response: Response<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.pick_up(&mut response);
        // A body that knows its size is assumed to be complete: none of the user's code adds tasks while
        // it is sent.
        let streams = response.body().size_hint().exact().is_none();
        let status = response.status();
        let end = RequestEnd::Response(status);
        // One lock for the question and the new phase: a task that another thread adds is either in the
        // lists here, or meets the new phase in `add`.
        let wait = {
            let mut state = self.state();
            if let Some(detached) = &mut state.detached {
                if detached.runs() {
                    // The response is not the handler's, but that of a timeout, say. The handler will
                    // end the request.
                    detached.leave();
                    return response.map(Body::new);
                }
            }
            let wait = streams || state.handed_out || state.has_waiting();
            state.transfer.written_before = self.delivery().written();
            state.phase = if wait {
                Phase::Responding(end)
            } else {
                Phase::Responded(end)
            };
            wait
        };
        let response = response.map(Body::new);
        if !wait {
            return response;
        }
        let expected = self.expected_bytes(&response);
        self.skip_what_is_not_due(end);
        if !self.delivery().is_awaited() {
            if let Some(bytes) = expected {
                self.note_response(status, bytes, true);
            }
            self.run_before_sending();
        }
        response.map(|body| Body::new(GuardedBody::new(body, self.clone(), expected)))
    }

    /// Returns how many bytes of the body a server is going to take; `None` if it takes what comes.
    fn expected_bytes(&self, response: &Response<Body>) -> Option<u64> {
        let status = response.status();
        let has_no_body = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || self.state().info.is_head();
        if has_no_body {
            return Some(0);
        }
        response.body().size_hint().exact().or_else(|| {
            let length = response.headers().get(header::CONTENT_LENGTH)?;
            length.to_str().ok()?.parse().ok()
        })
    }

    /// Notes that the body was dropped, and what was taken of it.
    pub(super) fn set_body_over(&self, bytes: u64, is_whole: bool) {
        let transfer = &mut self.state().transfer;
        (transfer.bytes, transfer.is_whole) = (bytes, is_whole);
    }

    /// Notes that bytes of the body were thrown away instead of sent.
    pub(super) fn set_cut_short(&self) {
        self.state().transfer.is_whole = false;
    }

    fn note_response(&self, status: StatusCode, bytes: u64, complete: bool) {
        let elapsed = self.begun().elapsed();
        self.state()
            .info
            .set_response(ResponseInfo::new(status, bytes, complete, elapsed));
    }

    /// Ends a request that has no response, or no client to send it to. What is due runs now.
    pub(super) fn end_unsent(self: &Arc<Self>, end: RequestEnd) {
        self.state().phase = Phase::Responding(end);
        #[cfg(feature = "durable")]
        self.store_unsent(end);
        self.skip_what_is_not_due(end);
        self.run_due(false);
    }

    /// Settles the tasks that this end of the request keeps from running.
    pub(super) fn skip_what_is_not_due(&self, end: RequestEnd) {
        let (route, handler, response, attached) = {
            let state = &mut *self.state();
            let (handler_list_attached, came_with_it) = state.came_with_the_response();
            let Lists {
                route,
                handler,
                response,
                ..
            } = &mut state.lists;
            // The usual case: nothing moves.
            if is_due(route, end, false)
                && is_due(handler, end, handler_list_attached)
                && is_due(response, end, came_with_it)
            {
                return;
            }
            (
                take(route),
                take(handler),
                take(response),
                (handler_list_attached, came_with_it),
            )
        };
        let (handler_list_attached, came_with_it) = attached;
        // Outside the lock, because skipping a task calls the user's error hooks.
        let route = due(route, end, false);
        let handler = due(handler, end, handler_list_attached);
        let response = due(response, end, came_with_it);

        let lists = &mut self.state().lists;
        lists.route.put_back(route);
        lists.handler.put_back(handler);
        lists.response.put_back(response);
    }

    /// Runs the tasks that wait. From now on, tasks that are added run at once.
    ///
    /// `sent` says that all that was given away of the body is known to have been sent; not so if the
    /// connection has ended, or was given up.
    ///
    /// Only the first call has an effect. Not to be called under a lock: without a runtime to run them
    /// the tasks are dropped here, which calls destructors and error hooks.
    pub(super) fn run_due(self: &Arc<Self>, sent: bool) {
        let (mut lists, end, transfer) = {
            let state = &mut *self.state();
            let Phase::Responding(end) = state.phase else {
                return;
            };
            state.phase = Phase::Responded(end);
            (take(&mut state.lists), end, state.transfer)
        };
        if let RequestEnd::Response(status) = end {
            let complete = sent && transfer.is_whole && self.has_written(&transfer);
            self.note_response(status, transfer.bytes, complete);
        }
        #[cfg(feature = "durable")]
        self.release_held();
        lists.late.continue_on_error = lists.handler.continue_on_error;
        self.run([
            lists.route,
            lists.handler,
            lists.response,
            due(lists.late, end, true),
        ]);
    }

    /// Gives up the tasks that wait, whose guards settle them. From now on, tasks that are added run at
    /// once. Has no effect after [`run_due`](Self::run_due), and is not to be called under a lock either.
    pub(super) fn stop_waiting(&self) {
        let given_up = {
            let state = &mut *self.state();
            let Phase::Responding(end) = state.phase else {
                return;
            };
            state.phase = Phase::Responded(end);
            take(&mut state.lists)
        };
        drop(given_up);
    }

    /// Returns whether the connection has written as much as this response, of which a head is a part. It
    /// has not if the server has thrown the response away without a word, as h2 does with those of a
    /// stream that its client has reset.
    fn has_written(&self, transfer: &Transfer) -> bool {
        match (self.delivery().written(), transfer.written_before) {
            (Some(now), Some(before)) => now - before > transfer.bytes,
            _ => true,
        }
    }

    /// Runs what waits, although the body is still to be sent: see [`Delivery::NotAwaited`].
    ///
    /// [`Delivery::NotAwaited`]: super::sent::Delivery::NotAwaited
    fn run_before_sending(self: &Arc<Self>) {
        let lists = {
            let lists = &mut self.state().lists;
            // The phase stays `Responding`: `add` reads this for each task that comes later.
            lists.late.continue_on_error = lists.handler.continue_on_error;
            [
                take(&mut lists.route),
                take(&mut lists.handler),
                take(&mut lists.response),
            ]
        };
        self.run(lists);
    }

    /// Polls the handler, and notes if it panics. A `CatchPanicLayer` further out drops the handler's
    /// future only after it has caught the panic, when [`std::thread::panicking`] is false again.
    pub(crate) fn watch_panics<R>(&self, poll: impl FnOnce() -> R) -> R {
        struct Watch<'a>(&'a RequestTasks);
        impl Drop for Watch<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.state().panicked = true;
                }
            }
        }
        let _watch = Watch(self);
        poll()
    }

    /// Ends the request whose [`RequestGuard`](super::RequestGuard) was dropped before it had a
    /// response.
    pub(super) fn abandon(self: &Arc<Self>) {
        let end = {
            let state = &mut *self.state();
            #[cfg(feature = "durable")]
            let outbox = state.leave_outbox();
            match &mut state.detached {
                Some(detached) => match detached.leave() {
                    Some(end) => end,
                    // The handler will end the request.
                    None => return,
                },
                #[cfg(feature = "durable")]
                None if !matches!(outbox, OutboxEnd::Unknown) => match outbox {
                    OutboxEnd::Known(end) => end,
                    // The write will end the request.
                    OutboxEnd::Later | OutboxEnd::Unknown => return,
                },
                None if state.waits_for_room => RequestEnd::None(NoResponse::NoRoom),
                None if state.panicked => RequestEnd::None(NoResponse::HandlerPanicked),
                None => RequestEnd::None(NoResponse::HandlerCancelled),
            }
        };
        self.end_unsent(end);
    }
}
