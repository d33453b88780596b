//! A task that is `.independent()` is a list of its own: it waits for no neighbour, and no failure of
//! theirs keeps it from running.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use bg_runtime::{
    Background, BackgroundTasks, Backoff, BoxTask, FailureKind, Overflow, Task, TaskContext,
    TaskDef, TaskExt, TaskInfo, TaskResult, get, routes, tasks, testing::Recorder,
};
use tests::{
    Timeline,
    tasks::{Failures, respond_with, settled, skip_reason},
};
use tower::ServiceExt;

fn background(timeline: &Timeline) -> (Background, Failures) {
    let failures = Failures::default();
    let builder = timeline.background().on_error(failures.hook(timeline));
    (builder.build().expect("no state is missing"), failures)
}

fn audit(timeline: &Timeline) -> BoxTask {
    timeline.task("audit").independent()
}

/// Answers one request to `/`, and lets the response go.
async fn fetch(background: &Background, app: Router) -> StatusCode {
    let app = app.layer(background.layer());
    let Ok(response) = app.oneshot(Request::new(Body::empty())).await;
    response.status()
}

/// Fails at every run, and waits for an hour between two.
struct Mail;

impl Task for Mail {
    const DEF: &'static TaskDef = &TaskDef::new("mail")
        .retries(5)
        .backoff(Backoff::fixed(Duration::from_secs(3_600)));

    async fn run(self, cx: TaskContext) -> TaskResult {
        let timeline: Timeline = cx.state("timeline")?;
        timeline.mark("mail failed");
        Err("no luck".into())
    }

    fn try_clone(&self) -> Option<Self> {
        Some(Self)
    }
}

async fn write_audit(
    State(timeline): State<Timeline>,
    list: BackgroundTasks,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    list.add_task(audit(&timeline));
    response
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn an_audit_of_middleware_does_not_wait_for_the_retries_of_a_mail() {
    let timeline = Timeline::new();
    let (background, _) = background(&timeline);
    let handler = async |list: BackgroundTasks| list.add_task(Mail);
    let app =
        Router::new()
            .route("/", routing::get(handler))
            .layer(middleware::from_fn_with_state(
                timeline.clone(),
                write_audit,
            ));
    assert_eq!(fetch(&background, app).await, 200);
    timeline.reached("audit done").await;
    timeline.reached("mail failed").await;
    let stats = background.stats();
    assert_eq!((stats.completed, stats.pending), (1, 1), "{stats}");
}

#[get("/", background = tasks![timeline.waiting("route"), audit(&timeline)])]
async fn each_source(State(timeline): State<Timeline>, list: BackgroundTasks) -> impl IntoResponse {
    list.add_task(timeline.waiting("handler"));
    list.add_task(tasks![tasks![audit(&timeline)]].continue_on_error());
    let both = BackgroundTasks::concurrent()
        .with_task(timeline.waiting("response"))
        .with_task(audit(&timeline));
    (both, "ok")
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn an_independent_task_of_any_source_starts_beside_the_first() {
    let timeline = Timeline::new();
    let (background, _) = background(&timeline);
    let app = routes![each_source].with_state(timeline.clone());
    assert_eq!(fetch(&background, app).await, 200);
    tests::eventually("all audits", || background.stats().completed == 3).await;
    timeline.reached("route").await;
    for name in ["route may end", "handler may end", "response may end"] {
        timeline.mark(name);
    }
    assert_eq!(settled(&background, 6).await.completed, 6);
}

/// P-INDEPENDENT-2
#[tokio::test]
async fn a_failure_neither_skips_nor_names_an_independent_task() {
    let timeline = Timeline::new();
    let (background, failures) = background(&timeline);
    let list = tasks![timeline.failing("a"), audit(&timeline), timeline.task("b")];
    respond_with(&background, list).await;
    let stats = settled(&background, 3).await;
    assert_eq!((stats.completed, stats.failed, stats.skipped), (1, 1, 1));
    let failure = failures.of("a").expect("it failed");
    let skipped: Vec<_> = failure.skipped().iter().map(TaskInfo::name).collect();
    assert_eq!(skipped, ["b"]);
}

/// P-INDEPENDENT-2
#[tokio::test]
async fn an_independent_task_that_fails_stops_no_list() {
    let timeline = Timeline::new();
    let (background, failures) = background(&timeline);
    let list = tasks![
        timeline.failing("audit").independent(),
        timeline.task("a"),
        timeline.task("b")
    ];
    respond_with(&background, list).await;
    let stats = settled(&background, 3).await;
    assert_eq!((stats.completed, stats.failed), (2, 1));
    let failure = failures.of("audit").expect("it failed");
    assert!(failure.skipped().is_empty());
}

/// One of a key may wait; so the second of one list is refused.
struct Keyed;

impl Task for Keyed {
    const DEF: &'static TaskDef = &TaskDef::new("keyed").max_pending_per_key(1);

    async fn run(self, _: TaskContext) -> TaskResult {
        Ok(())
    }

    fn key(&self) -> Option<String> {
        Some("key".to_owned())
    }
}

/// P-INDEPENDENT-2
#[tokio::test]
async fn an_independent_task_that_is_refused_stops_no_list() {
    let timeline = Timeline::new();
    let (background, failures) = background(&timeline);
    let list = tasks![Keyed, Keyed.independent(), timeline.task("behind")];
    respond_with(&background, list).await;
    let stats = settled(&background, 3).await;
    assert_eq!((stats.completed, stats.skipped), (2, 1));
    let refused = failures.of("keyed").expect("it was refused");
    assert_eq!(refused.kind(), FailureKind::Rejected);
}

async fn not_found(State(timeline): State<Timeline>, list: BackgroundTasks) -> StatusCode {
    list.add_task(timeline.task("default").independent());
    list.add_task(timeline.task("always").independent().always());
    list.add_task(
        timeline
            .task("after error")
            .on_error_response()
            .independent(),
    );
    StatusCode::NOT_FOUND
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn an_independent_task_keeps_the_conditions_of_its_place() {
    let timeline = Timeline::new();
    let (background, failures) = background(&timeline);
    let app = Router::new()
        .route("/", routing::get(not_found))
        .with_state(timeline.clone());
    assert_eq!(fetch(&background, app).await, 404);
    let stats = settled(&background, 3).await;
    assert_eq!((stats.completed, stats.skipped), (2, 1));
    skip_reason(&failures.of("default").expect("it was skipped"));
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn an_independent_task_has_a_slot_of_its_own_before_its_neighbours() {
    let timeline = Timeline::new();
    let builder = timeline.background().max_concurrent(1);
    let builder = builder.max_pending(10, Overflow::Wait);
    let background = builder.build().expect("no state is missing");
    let list = tasks![timeline.task("a"), timeline.task("b"), audit(&timeline)];
    respond_with(&background, list).await;
    settled(&background, 3).await;
    let expected = ["audit", "audit done", "a", "a done", "b", "b done"];
    assert_eq!(timeline.names(), expected);
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn a_late_independent_task_waits_for_no_late_neighbour() {
    let timeline = Timeline::new();
    let (background, _) = background(&timeline);
    let list = tasks![timeline.task("first")];
    let kept = list.clone();
    respond_with(&background, list).await;
    settled(&background, 1).await;
    kept.add_task(tasks![timeline.waiting("late"), audit(&timeline)]);
    timeline.reached("audit done").await;
    timeline.mark("late may end");
    assert_eq!(settled(&background, 3).await.completed, 3);
}

/// P-INDEPENDENT-1
#[tokio::test]
async fn a_recorder_has_independent_tasks_before_those_of_their_lists() {
    let timeline = Timeline::new();
    let recorder = Recorder::new();
    let list = tasks![timeline.failing("a"), timeline.task("b"), audit(&timeline)];
    respond_with(&recorder, list).await;
    assert_eq!(recorder.names(), ["audit", "a", "b"]);
    assert_eq!(recorder.run_all().await.len(), 1);
    assert_eq!(recorder.stats().completed, 1);
    assert!(timeline.find("audit done").is_some());

    let handle = recorder.spawn(audit(&timeline));
    assert!(recorder.run_all().await.is_empty());
    handle.await.expect("it succeeds alone as well");
}
