//! The end of a request, with a response or without one.

use std::mem::take;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http_body::Body as HttpBody;

use super::due::{NoResponse, RequestEnd, due, is_due};
use super::queue::{Lists, Phase, RequestTasks};
use super::response_parts;
use super::sent::GuardedBody;
use crate::task::BoxError;

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
        let end = RequestEnd::Response(response.status());
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
            let wait = streams || state.handed_out || !state.lists.is_empty();
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
        self.skip_what_is_not_due(end);
        if !self.delivery().is_awaited() {
            self.run_before_sending();
        }
        response.map(|body| Body::new(GuardedBody::new(body, self.clone())))
    }

    /// Ends a request that has no response, or no client to send it to. What is due runs now.
    pub(super) fn end_unsent(self: &Arc<Self>, end: RequestEnd) {
        self.state().phase = Phase::Responding(end);
        self.skip_what_is_not_due(end);
        self.run_due();
    }

    /// Settles the tasks that this end of the request keeps from running.
    pub(super) fn skip_what_is_not_due(&self, end: RequestEnd) {
        let (route, handler, response, handler_list_attached) = {
            let state = &mut *self.state();
            let handler_list_attached = state.handler_list_attached;
            let Lists {
                route,
                handler,
                response,
                ..
            } = &mut state.lists;
            // The usual case: nothing moves.
            if is_due(route, end, false)
                && is_due(handler, end, handler_list_attached)
                && is_due(response, end, true)
            {
                return;
            }
            (
                take(route),
                take(handler),
                take(response),
                handler_list_attached,
            )
        };
        // Outside the lock, because skipping a task calls the user's error hooks.
        let route = due(route, end, false);
        let handler = due(handler, end, handler_list_attached);
        let response = due(response, end, true);

        let lists = &mut self.state().lists;
        lists.route.put_back(route);
        lists.handler.put_back(handler);
        lists.response.put_back(response);
    }

    /// Runs the tasks that wait. From now on, tasks that are added run at once.
    ///
    /// Only the first call has an effect. Not to be called under a lock: without a runtime to run them
    /// the tasks are dropped here, which calls destructors and error hooks.
    pub(super) fn run_due(self: &Arc<Self>) {
        let (mut lists, end) = {
            let state = &mut *self.state();
            let Phase::Responding(end) = state.phase else {
                return;
            };
            state.phase = Phase::Responded(end);
            (take(&mut state.lists), end)
        };
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
            match &mut state.detached {
                Some(detached) => match detached.leave() {
                    Some(end) => end,
                    // The handler will end the request.
                    None => return,
                },
                None if state.waits_for_room => RequestEnd::None(NoResponse::NoRoom),
                None if state.panicked => RequestEnd::None(NoResponse::HandlerPanicked),
                None => RequestEnd::None(NoResponse::HandlerCancelled),
            }
        };
        self.end_unsent(end);
    }
}
