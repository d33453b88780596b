//! The app: handlers that do what was planned for their request.

use std::{panic::panic_any, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Path as UrlPath, rejection::PathRejection},
    http::{HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing,
};
use bg_runtime::{
    Background, BackgroundTasks, BoxTask, Stopping, TaskHandle, WithBackground, after_response,
    route, routes,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tests::{http1_responses::NO_BODY, timeline::LIMIT};
use tokio::{sync::mpsc, time::timeout};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    history::{List, Member, Source},
    jobs::{Job, PLANNED, add_late},
    ledger::{Ledger, Line},
    plan::{Answer, BodyPlan, ConnectionPlan, ListPlan, MemberPlan, Path, RequestPlan, TaskPlan},
};

/// What every body is cut from.
static BYTES: [u8; 8 << 20] = [0; 8 << 20];

/// The state of the app.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) ledger: Ledger,
    pub(crate) background: Background,
    pub(crate) handles: mpsc::UnboundedSender<Watch>,
}

/// A handle that is to be waited for.
pub(crate) struct Watch {
    pub(crate) line: Line,
    pub(crate) handle: TaskHandle,
    pub(crate) abort_after: Option<Duration>,
}

impl App {
    pub(crate) fn routes(self) -> Router {
        let catches_panics = self.ledger.round().catches_panics;
        let plain = routing::get(plain).post(plain);
        let app = routes![declared, detached].route("/plain/{request}", plain);
        let app = app.with_state(self);
        match catches_panics {
            true => app.layer(CatchPanicLayer::new()),
            false => app,
        }
    }

    /// Sees to it that a handle is waited for.
    fn watch(&self, line: Line, handle: TaskHandle, abort_after: Option<Duration>) {
        let _ = self.handles.send(Watch {
            line,
            handle,
            abort_after,
        });
    }

    /// Spawns a task, and sees to it that its handle is waited for.
    pub(crate) fn spawn(&self, plan: &TaskPlan, abort_after: Option<Duration>) {
        let (line, task) = Job::hand_over(&self.ledger, plan, None, Source::Spawned);
        self.ledger.watched(line);
        let handle = self.background.spawn(task);
        self.watch(line, handle, abort_after);
    }
}

/// The path of a request.
pub(crate) fn url(path: Path, number: u64) -> String {
    let folder = match path {
        Path::Declared => "declared",
        Path::Detached => "detached",
        Path::Plain => "plain",
    };
    format!("/{folder}/{number}")
}

#[route("/declared/{_request}", methods = [GET, POST], background = case.route_tasks())]
async fn declared(case: Case, tasks: BackgroundTasks, stopping: Stopping, body: Body) -> Response {
    case.handle(tasks, stopping, body).await
}

#[route("/detached/{_request}", methods = [GET, POST], detach, background = case.route_tasks())]
async fn detached(case: Case, tasks: BackgroundTasks, stopping: Stopping, body: Body) -> Response {
    case.handle(tasks, stopping, body).await
}

async fn plain(case: Case, tasks: BackgroundTasks, stopping: Stopping, body: Body) -> Response {
    case.handle(tasks, stopping, body).await
}

/// A request, and what is planned for it.
#[derive(Clone)]
struct Case {
    app: App,
    number: u64,
    plan: Arc<RequestPlan>,
}

impl FromRequestParts<App> for Case {
    type Rejection = PathRejection;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, PathRejection> {
        let UrlPath(number) = UrlPath::<u64>::from_request_parts(parts, app).await?;
        let app = app.clone();
        let plan = Arc::new(RequestPlan::draw(app.ledger.round(), number));
        Ok(Self { app, number, plan })
    }
}

impl Case {
    fn hand_over(&self, plan: &TaskPlan, source: Source) -> (Line, BoxTask) {
        Job::hand_over(&self.app.ledger, plan, Some(self.number), source)
    }

    fn route_tasks(&self) -> Option<BackgroundTasks> {
        let plan = self.plan.route.as_ref()?;
        Some(self.whole_list(plan, Source::Route))
    }

    /// A list that is the only member of its source.
    fn whole_list(&self, plan: &ListPlan, source: Source) -> BackgroundTasks {
        let (list, tasks) = self.list(plan, source);
        self.app.ledger.list(
            self.number,
            List {
                members: vec![Member::List(list)],
                ..List::default()
            },
        );
        tasks
    }

    fn list(&self, plan: &ListPlan, source: Source) -> (List, BackgroundTasks) {
        let mut tasks = match plan.concurrent {
            true => BackgroundTasks::concurrent(),
            false => BackgroundTasks::new(),
        };
        if plan.continue_on_error {
            tasks = tasks.continue_on_error();
        }
        let members = plan.members.iter().filter_map(|member| match member {
            MemberPlan::Task(task) => self.add(&tasks, task, source),
            MemberPlan::List(list) => {
                let (list, inner) = self.list(list, source);
                tasks.add_task(inner);
                Some(Member::List(list))
            }
        });
        let list = List {
            concurrent: plan.concurrent,
            continue_on_error: plan.continue_on_error,
            members: members.collect(),
        };
        (list, tasks)
    }

    /// Adds a task to a list. Returns it as a member of the list, unless it is none.
    fn add(&self, tasks: &BackgroundTasks, plan: &TaskPlan, source: Source) -> Option<Member> {
        let (line, task) = self.hand_over(plan, source);
        match plan.tracked {
            None => tasks.add_task(task),
            Some(abort_after) => {
                self.app.ledger.watched(line);
                let handle = tasks.add_tracked(task);
                self.app.watch(line, handle, abort_after);
            }
        }
        (!plan.independent).then(|| line.member())
    }

    async fn handle(self, tasks: BackgroundTasks, stopping: Stopping, body: Body) -> Response {
        if self.plan.reads_upload {
            // A client that leaves in the middle of it is still answered.
            let _ = body.collect().await;
        }
        wait(self.plan.wait).await;
        self.queue(&tasks);
        wait(self.plan.wait_again).await;
        self.answer(stopping)
    }

    /// Queues all that is planned, at once: nothing comes between.
    fn queue(&self, tasks: &BackgroundTasks) {
        let plan = &self.plan;
        let list = &plan.handler;
        if list.continue_on_error {
            let _same = tasks.clone().continue_on_error();
        }
        let members = list
            .members
            .iter()
            .enumerate()
            .filter_map(|(nth, member)| match member {
                // In both ways, which lead to the same list.
                MemberPlan::Task(plan) if nth % 2 == 1 && plan.tracked.is_none() => {
                    let (line, task) = self.hand_over(plan, Source::Handler);
                    if after_response(task).is_err() {
                        self.app.ledger.not_taken(line);
                    }
                    (!plan.independent).then(|| line.member())
                }
                MemberPlan::Task(plan) => self.add(tasks, plan, Source::Handler),
                MemberPlan::List(list) => {
                    let (list, inner) = self.list(list, Source::Handler);
                    tasks.add_task(inner);
                    Some(Member::List(list))
                }
            });
        let members = members.collect();
        self.app.ledger.list(
            self.number,
            List {
                concurrent: false,
                continue_on_error: list.continue_on_error,
                members,
            },
        );
        for spawned in &plan.spawned {
            self.app.spawn(&spawned.task, spawned.abort_after);
        }
        for late in 0..plan.late.len() {
            let (case, tasks) = (self.clone(), tasks.clone());
            tokio::spawn(async move {
                let late = &case.plan.late[late];
                tokio::time::sleep(late.after).await;
                tasks.add_task(case.hand_over(&late.task, Source::Late).1);
            });
        }
    }

    fn answer(&self, stopping: Stopping) -> Response {
        let ledger = &self.app.ledger;
        let Answer::Response { status, body } = &self.plan.answer else {
            if !ledger.round().catches_panics {
                ledger.given_up(self.number);
            }
            panic_any(PLANNED);
        };
        let status_code = StatusCode::from_u16(*status).expect("a status");
        let response = (status_code, self.body(body, stopping)).into_response();
        let mut response = match &self.plan.response {
            Some(list) => response.with_background(self.whole_list(list, Source::Response)),
            None => response,
        };
        if self.plan.method == "HEAD" {
            let head = HeaderValue::from_static("HEAD");
            response.headers_mut().insert(NO_BODY, head);
        }
        ledger.answered(self.number, *status);
        response
    }

    fn body(&self, plan: &BodyPlan, stopping: Stopping) -> Body {
        let (frames, size, pause, breaks) = match *plan {
            BodyPlan::Empty => return Body::empty(),
            BodyPlan::Full(size) => return Body::from(Bytes::from_static(&BYTES[..size])),
            BodyPlan::Stream {
                frames,
                size,
                pause,
                breaks,
                ..
            } => (frames, size, pause, breaks),
        };
        let case = self.clone();
        let stopping = self.waits_for_stopping().then_some(stopping);
        let frames = stream::iter(0..frames).then(move |nth| {
            let (case, stopping) = (case.clone(), stopping.clone());
            async move {
                wait(pause).await;
                if let Some(stopping) = stopping.filter(|_| nth + 1 == frames) {
                    let told = timeout(LIMIT / 2, stopping).await;
                    if told.is_err() {
                        case.app.ledger.waited_in_vain(case.number);
                    }
                }
                case.frame(nth, nth + 1 == frames && breaks, size)
            }
        });
        Body::from_stream(frames)
    }

    /// Returns whether the body waits for the end of its server, which comes while the request does.
    fn waits_for_stopping(&self) -> bool {
        if !self.plan.until_stopping() {
            return false;
        }
        let round = self.app.ledger.round();
        let connection = ConnectionPlan::of_request(self.number);
        let term = round.term_of(connection);
        let server = ConnectionPlan::draw(round, connection).server;
        connection >= term.stop_before && term.servers[server].serving.drains()
    }

    fn frame(&self, nth: usize, breaks: bool, size: usize) -> Result<Bytes, &'static str> {
        let Answer::Response { body, .. } = &self.plan.answer else {
            return Ok(Bytes::new());
        };
        if let (
            0,
            BodyPlan::Stream {
                adds: Some(task), ..
            },
        ) = (nth, body)
        {
            add_late(&self.app.ledger, task, Some(self.number));
        }
        if breaks {
            self.app.ledger.given_up(self.number);
            return Err("a planned end");
        }
        Ok(Bytes::from_static(&BYTES[..size]))
    }
}

async fn wait(time: Option<Duration>) {
    if let Some(time) = time {
        tokio::time::sleep(time).await;
    }
}
