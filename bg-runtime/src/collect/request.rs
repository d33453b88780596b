//! One request's tasks, from the first that is queued to the moment they may run.
//!
//! ```text
//! Collecting ── respond ──> Responding ── body ended, last byte gone ──> Responded
//!      └───── dropped without a response ────────────────────────────────────┘
//! ```

use std::fmt;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use axum::body::Body;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Response};
use http_body::Body as HttpBody;

use super::DetachedHandler;
use super::answer::{Answer, NoResponse, due, is_due};
use super::{BackgroundTasks, IntoTasks, respond};
use crate::after_response::{Connection, GuardedBody, Sending};
use crate::run::{Accepted, Runner};
use crate::sync::{Mutex, MutexGuard};
use crate::task::{BoxError, LazyInfo, List, Member, QueuedTask, RequestInfo};

/// Which of a request's three lists a task belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Route,
    Handler,
    Response,
}

/// The tasks of one request.
pub(crate) struct RequestTasks {
    runner: Arc<Runner>,
    sending: Sending,
    state: Mutex<State>,
}

pub(super) struct State {
    info: LazyInfo,
    phase: Phase,
    pub(super) lists: Lists,
    /// The handler's list came with the response as well, so that it runs whatever the status.
    handler_list_attached: bool,
    /// Somebody has a handle, who may add tasks while the body is being sent.
    handed_out: bool,
    /// The handler panicked, whether or not that can still be seen when its future is dropped.
    panicked: bool,
    /// The response is held back until there is room for its tasks.
    pub(super) waits_for_room: bool,
    /// Boxed, because few handlers are.
    detached: Option<Box<Detached>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Collecting,
    Responding(Answer),
    Responded(Answer),
}

#[derive(Default)]
pub(super) struct Lists {
    route: List<Accepted>,
    handler: List<Accepted>,
    response: List<Accepted>,
    /// Added while the body was being sent; not yet looked at with the answer in mind.
    late: List<Accepted>,
}

/// A handler that runs on when the client has gone.
struct Detached {
    finished: Option<Answer>,
    owner_gone: bool,
}

impl State {
    /// Whether the response is somebody else's, as that of a timeout, while the handler runs on.
    pub(super) fn handler_runs_on(&self) -> bool {
        let detached = self.detached.as_ref();
        detached.is_some_and(|detached| detached.finished.is_none())
    }
}

impl RequestTasks {
    pub(crate) fn new<B>(
        runner: Arc<Runner>,
        connection: Option<Arc<Connection>>,
        request: &http::Request<B>,
    ) -> Arc<Self> {
        let sending = match runner.recording() {
            Some(_) => Sending::Recorded,
            None => Sending::new(connection, request.version()),
        };
        Arc::new(Self {
            runner,
            sending,
            state: Mutex::new(State {
                info: LazyInfo::of(request),
                phase: Phase::Collecting,
                lists: Lists::default(),
                handler_list_attached: false,
                handed_out: false,
                panicked: false,
                waits_for_room: false,
                detached: None,
            }),
        })
    }

    /// The tasks of this request, if something further out collects them.
    pub(crate) fn of(extensions: &Extensions) -> Option<Arc<Self>> {
        extensions.get::<Arc<Self>>().cloned()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(crate) fn sending(&self) -> &Sending {
        &self.sending
    }

    pub(crate) fn info(&self) -> Arc<RequestInfo> {
        self.state().info.get()
    }

    pub(crate) fn complete_info(&self, headers: &HeaderMap, extensions: &Extensions) {
        self.state().info.complete(headers, extensions);
    }

    pub(super) fn hand_out(&self) {
        self.state().handed_out = true;
    }

    pub(super) fn continue_on_error(&self) {
        self.state().lists.handler.continue_on_error = true;
    }

    pub(super) fn attach_handler_list(&self) {
        self.state().handler_list_attached = true;
    }

    pub(crate) fn add_all(self: &Arc<Self>, source: Source, tasks: impl IntoTasks) {
        let list = BackgroundTasks::of_request(self.clone());
        if let Some(member) = tasks.into_tasks().into_member_of(&list) {
            self.add(source, member);
        }
    }

    /// Accepts tasks, to run when their time has come; at once where it has come already.
    pub(crate) fn add(self: &Arc<Self>, source: Source, tasks: Member<QueuedTask>) {
        let info = self.info();
        let Some(accepted) = tasks.filter_map(&mut |task| {
            let accepted = self.runner.accept(task, Some(info.clone()));
            Some(accepted.map_or_else(Member::Refused, Member::Task))
        }) else {
            return;
        };

        let recording = self.runner.recording();
        let (mut list, mut late) = (List::default(), false);
        let answer = {
            let state = &mut *self.state();
            match state.phase {
                Phase::Collecting => {
                    return match source {
                        // These two stop at a failure whatever comes, so that a list inside of them
                        // that does the same need not stay one.
                        Source::Route => state.lists.route.push_flat(accepted),
                        Source::Response => state.lists.response.push_flat(accepted),
                        Source::Handler => state.lists.handler.push(accepted),
                    };
                }
                Phase::Responding(_) if recording.is_none() => {
                    return state.lists.late.push(accepted);
                }
                Phase::Responding(answer) => {
                    list.continue_on_error = state.lists.late.continue_on_error;
                    late = true;
                    answer
                }
                Phase::Responded(answer) => answer,
            }
        };
        list.push(accepted);
        let list = due(list, answer, true);
        match recording {
            Some(recording) if late => recording.record_late(self, list),
            _ => self.run([list]),
        }
    }

    /// Looks into a response on its way out, before anything further out can lose what it carries.
    pub(crate) fn pick_up<B>(self: &Arc<Self>, response: &mut Response<B>) {
        respond::pick_up(response.extensions_mut(), self);
    }

    /// Decides which tasks run, and gives the response a body that tells when it has been sent.
    pub(super) fn respond<B>(self: &Arc<Self>, mut response: Response<B>) -> Response<Body>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.pick_up(&mut response);
        // A body whose size is known is taken for one that exists already, and adds no tasks.
        let streams = response.body().size_hint().exact().is_none();
        let answer = Answer::Status(response.status());
        let wait = {
            let mut state = self.state();
            if let Some(detached) = &mut state.detached {
                if detached.finished.is_none() {
                    // Somebody answered for the handler, as a timeout does. It will conclude by
                    // itself.
                    detached.owner_gone = true;
                    return response.map(Body::new);
                }
            }
            let wait = streams || state.handed_out || !state.lists.is_empty();
            state.phase = if wait {
                Phase::Responding(answer)
            } else {
                Phase::Responded(answer)
            };
            wait
        };
        let response = response.map(Body::new);
        if !wait {
            return response;
        }
        self.skip_what_is_not_due(answer);
        if self.runner.recording().is_some() {
            self.record_due();
        }
        response.map(|body| Body::new(GuardedBody::new(body, self.clone())))
    }

    /// There will be no response, or nobody to send it to: what is due runs now.
    fn conclude(self: &Arc<Self>, answer: Answer) {
        self.state().phase = Phase::Responding(answer);
        self.skip_what_is_not_due(answer);
        self.run_due();
    }

    /// Settles the tasks that the answer keeps from running.
    pub(super) fn skip_what_is_not_due(&self, answer: Answer) {
        let (route, handler, response, handler_list_attached) = {
            let state = &mut *self.state();
            let handler_list_attached = state.handler_list_attached;
            let Lists {
                route,
                handler,
                response,
                ..
            } = &mut state.lists;
            // As it mostly is.
            if is_due(route, answer, false)
                && is_due(handler, answer, handler_list_attached)
                && is_due(response, answer, true)
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
        // Outside the lock, because skipping tells the error hook, which is the user's.
        let route = due(route, answer, false);
        let handler = due(handler, answer, handler_list_attached);
        let response = due(response, answer, true);

        let lists = &mut self.state().lists;
        lists.route.put_back(route);
        lists.handler.put_back(handler);
        lists.response.put_back(response);
    }

    /// Whether tasks wait for the response to be sent, or somebody is left who may add some.
    pub(crate) fn is_waited_for(self: &Arc<Self>) -> bool {
        if Arc::strong_count(self) > 1 {
            return true;
        }
        // What the others did before they let go is to be seen here.
        fence(Ordering::Acquire);
        !self.state().lists.is_empty()
    }

    /// Waits for the response in a task of its own. Where there is no runtime the lists are
    /// dropped, and reported.
    pub(crate) fn spawn_waiting<F>(self: &Arc<Self>, wait: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.runner.spawn_here(wait(self.clone()));
    }

    /// Runs what waits, and from now on whatever is added, at once.
    pub(crate) fn run_due(self: &Arc<Self>) {
        let (mut lists, answer) = {
            let state = &mut *self.state();
            let Phase::Responding(answer) = state.phase else {
                return;
            };
            state.phase = Phase::Responded(answer);
            (take(&mut state.lists), answer)
        };
        lists.late.continue_on_error = lists.handler.continue_on_error;
        self.run([
            lists.route,
            lists.handler,
            lists.response,
            due(lists.late, answer, true),
        ]);
    }

    /// Records what waits for the response to be sent: in a test there may be nobody to send it to.
    fn record_due(self: &Arc<Self>) {
        let lists = {
            let lists = &mut self.state().lists;
            lists.late.continue_on_error = lists.handler.continue_on_error;
            [
                take(&mut lists.route),
                take(&mut lists.handler),
                take(&mut lists.response),
            ]
        };
        self.run(lists);
    }

    fn run<const N: usize>(self: &Arc<Self>, lists: [List<Accepted>; N]) {
        if lists.iter().all(List::is_empty) {
            return;
        }
        if let Some(recording) = self.runner.recording() {
            return recording.record(self, lists);
        }
        self.runner.run_aside(self.clone(), lists);
    }

    /// A handler begins that will be finished whatever the client does.
    pub(crate) fn detach(self: &Arc<Self>) -> DetachedHandler {
        self.state().detached = Some(Box::new(Detached {
            finished: None,
            owner_gone: false,
        }));
        DetachedHandler::new(self.clone())
    }

    pub(super) fn detached_finished(self: &Arc<Self>, answer: Answer) {
        let owner_gone = {
            let mut state = self.state();
            let Some(detached) = &mut state.detached else {
                return;
            };
            if detached.finished.is_some() {
                return;
            }
            detached.finished = Some(answer);
            detached.owner_gone
        };
        if owner_gone {
            self.conclude(answer);
        }
    }

    /// Polls the handler, and remembers if it panics: a `CatchPanicLayer` further out drops the
    /// handler's future when the panic is over.
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

    /// The outermost future of ours was dropped before it had a response.
    pub(super) fn abandon(self: &Arc<Self>) {
        let answer = {
            let state = &mut *self.state();
            match &mut state.detached {
                Some(detached) => {
                    detached.owner_gone = true;
                    match detached.finished {
                        Some(answer) => answer,
                        // It will conclude by itself.
                        None => return,
                    }
                }
                None if state.waits_for_room => Answer::None(NoResponse::NoRoom),
                None if state.panicked => Answer::None(NoResponse::HandlerPanicked),
                None => Answer::None(NoResponse::HandlerCancelled),
            }
        };
        self.conclude(answer);
    }
}

impl fmt::Debug for RequestTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestTasks")
            .field("request", &self.info())
            .finish_non_exhaustive()
    }
}

impl Lists {
    fn is_empty(&self) -> bool {
        [&self.route, &self.handler, &self.response, &self.late]
            .iter()
            .all(|list| list.is_empty())
    }

    pub(super) fn for_each_mut(&mut self, f: &mut impl FnMut(&mut Accepted)) {
        let Self {
            route,
            handler,
            response,
            late,
        } = self;
        for list in [route, handler, response, late] {
            list.for_each_mut(f);
        }
    }
}
