//! The testing kit, used as an application's tests use it: no server, and no waiting.

use std::convert::Infallible;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing};
use bg_runtime::testing::Recorder;
use bg_runtime::{
    Background, BackgroundTasks, BoxTask, FailureKind, MissingState, Overflow, SkipReason,
    StateDef, Task, TaskContext, TaskDef, TaskExt, TaskFailure, TaskResult, WithBackground,
    after_response, background_task, get, named, named_blocking, post, routes, tasks,
};
use futures_util::StreamExt;
use futures_util::stream;
use http_body_util::BodyExt;
use tests::tasks::{Failures, is_balanced, skip_reason};
use tests::{Timeline, eventually, logs, within};
use tokio::sync::Notify;
use tokio::time::Instant;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

#[background_task(name = "emails::send_email")]
async fn send_email(to: String) {
    drop(to);
}

/// Fails `failures` times, and then succeeds. Each run is marked with its number.
#[derive(Debug, Clone, PartialEq)]
struct Flaky {
    failures: u32,
}

impl Task for Flaky {
    const DEF: &'static TaskDef = &TaskDef::new("flaky");

    async fn run(self, cx: TaskContext) -> TaskResult {
        let timeline: Timeline = cx.state("timeline")?;
        timeline.mark(format!("run {}", cx.attempt()));
        if cx.attempt() > self.failures {
            return Ok(());
        }
        Err("no luck".into())
    }
}

/// Needs a state that no test gives.
#[derive(Debug, Clone)]
struct Homeless;

impl Task for Homeless {
    const DEF: &'static TaskDef =
        &TaskDef::new("homeless").states(&[StateDef::of::<Arc<()>>("home")]);

    async fn run(self, cx: TaskContext) -> TaskResult {
        let _: Arc<()> = cx.state("home")?;
        Ok(())
    }
}

/// Not `Clone`, and nothing to compare it by.
struct Upload(Box<dyn Fn() -> u32 + Send>);

impl Task for Upload {
    const DEF: &'static TaskDef = &TaskDef::new("upload");

    async fn run(self, _: TaskContext) -> TaskResult {
        Ok(())
    }
}

async fn fetch(app: &Router, method: &str, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// An app with one handler at `/`, under the recorder's layer.
fn app(recorder: &Recorder, handler: routing::MethodRouter) -> Router {
    Router::new().route("/", handler).layer(recorder.layer())
}

/// A handler that queues in all three ways, and answers with this status.
fn queues(status: StatusCode) -> routing::MethodRouter {
    routing::get(move |tasks: BackgroundTasks| async move {
        tasks.add_task(SendEmail::new("handler"));
        tasks.add_task(SendEmail::new("handler, always").always());
        tasks.add_task(SendEmail::new("handler, on error").on_error_response());
        (status, SendEmail::new("response"), "a page")
    })
}

fn emails(recorder: &Recorder) -> Vec<String> {
    let emails = recorder.queued::<SendEmail>().into_iter();
    emails.map(|email| email.to).collect()
}

fn recorder(builder: bg_runtime::BackgroundBuilder) -> Recorder {
    Recorder::from_builder(builder).expect("nothing to refuse")
}

// What is recorded.

#[tokio::test]
async fn the_tasks_of_a_response_are_recorded_in_order_and_none_runs() {
    #[get("/", background = SendEmail::new("route"))]
    async fn page(tasks: BackgroundTasks) -> impl IntoResponse {
        after_response(named("anywhere", async { unreachable!() })).unwrap();
        tasks.add_task(SendEmail::new("handler"));
        (SendEmail::new("response"), "a page")
    }

    let recorder = Recorder::new();
    let app: Router = routes![page].layer(recorder.layer());
    let _ = fetch(&app, "GET", "/").await;
    recorder.spawn(named("spawned", async { unreachable!() }));

    assert_eq!(emails(&recorder), ["route", "handler", "response"]);
    let email = "emails::send_email";
    assert_eq!(
        recorder.names(),
        [email, "anywhere", email, email, "spawned"]
    );
    recorder.assert_queued(SendEmail::new("handler"));
    recorder.assert_queued_times::<SendEmail>(3);
    recorder.assert_not_queued::<Upload>();
    assert_eq!((recorder.stats().pending, recorder.stats().running), (5, 0));
}

#[tokio::test]
async fn tasks_are_recorded_whether_or_not_the_test_keeps_the_response() {
    let recorder = Recorder::new();
    let app = app(&recorder, queues(StatusCode::OK));

    let _response = fetch(&app, "GET", "/").await;
    recorder.assert_queued_times::<SendEmail>(3);

    let _body = fetch(&app, "GET", "/").await.into_body();
    recorder.assert_queued_times::<SendEmail>(6);

    let _bytes = to_bytes(fetch(&app, "GET", "/").await.into_body(), 99).await;
    recorder.assert_queued_times::<SendEmail>(9);

    drop(fetch(&app, "HEAD", "/").await);
    recorder.assert_queued_times::<SendEmail>(12);
}

#[tokio::test]
async fn tasks_that_the_status_of_the_response_skips_are_not_recorded() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let noted = failures.clone();
    let hook = move |failure: &TaskFailure| noted.lock().unwrap().push(skip_reason(failure));
    let recorder = recorder(Background::builder().on_error(hook));
    fetch(&app(&recorder, queues(StatusCode::NOT_FOUND)), "GET", "/").await;

    let due = ["handler, always", "handler, on error", "response"];
    assert_eq!(emails(&recorder), due);
    let reason = SkipReason::ErrorResponse(StatusCode::NOT_FOUND);
    assert_eq!(*failures.lock().unwrap(), [reason]);

    recorder.take::<SendEmail>();
    fetch(&app(&recorder, queues(StatusCode::OK)), "GET", "/").await;
    assert_eq!(
        emails(&recorder),
        ["handler", "handler, always", "response"]
    );
}

#[tokio::test]
async fn only_always_tasks_of_a_handler_that_panics_are_recorded() {
    let panics = async |tasks: BackgroundTasks| -> StatusCode {
        tasks.add_task(SendEmail::new("skipped"));
        tasks.add_task(SendEmail::new("always").always());
        panic!("in the handler");
    };
    let recorder = Recorder::new();
    let app = app(&recorder, routing::get(panics)).layer(CatchPanicLayer::new());
    let response = fetch(&app, "GET", "/").await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(emails(&recorder), ["always"]);
}

#[tokio::test]
async fn only_always_tasks_of_a_handler_that_is_dropped_are_recorded() {
    let hangs = async |tasks: BackgroundTasks| {
        tasks.add_task(SendEmail::new("skipped"));
        tasks.add_task(SendEmail::new("always").always());
        pending::<()>().await;
    };
    let recorder = Recorder::new();
    let app = app(&recorder, routing::get(hangs));
    let mut response = Box::pin(fetch(&app, "GET", "/"));
    assert!(futures_util::poll!(&mut response).is_pending());
    recorder.assert_nothing_queued();
    drop(response);
    assert_eq!(emails(&recorder), ["always"]);
}

#[post("/pay", detach, background = SendEmail::new("route"))]
async fn pay(State(go_on): State<Arc<Notify>>, tasks: BackgroundTasks) {
    go_on.notified().await;
    tasks.add_task(SendEmail::new("handler"));
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_detached_handler_are_recorded_when_it_has_finished() {
    let recorder = Recorder::new();
    let go_on = Arc::new(Notify::new());
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let app: Router = routes![pay]
        .layer(timeout)
        .layer(recorder.layer())
        .with_state(go_on.clone());

    let response = fetch(&app, "POST", "/pay").await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    recorder.assert_nothing_queued();
    go_on.notify_one();
    eventually("the handler ends", || recorder.names().len() == 2).await;
    assert_eq!(emails(&recorder), ["route", "handler"]);

    go_on.notify_one();
    let response = fetch(&app, "POST", "/pay").await;
    assert_eq!(response.status(), StatusCode::OK);
    recorder.assert_queued_times::<SendEmail>(4);
}

/// Streams these tasks, and queues each when its frame is asked for.
fn streams(tasks: [BoxTask; 2]) -> impl IntoResponse {
    let frames = stream::iter(tasks).map(|task| {
        after_response(task).expect("the body is polled in the request's scope");
        Ok::<_, Infallible>("a frame")
    });
    Body::from_stream(frames)
}

#[tokio::test]
async fn tasks_that_a_body_queues_are_recorded_while_it_is_read() {
    let timeline = Timeline::new();
    let given = timeline.clone();
    let handler = routing::get(async move |tasks: BackgroundTasks| {
        tasks.add_task(given.task("handler"));
        streams([given.failing("first"), given.task("second")])
    });
    let recorder = Recorder::new();
    let mut body = fetch(&app(&recorder, handler), "GET", "/")
        .await
        .into_body();
    assert_eq!(recorder.names(), ["handler"]);
    body.frame().await.unwrap().unwrap();
    assert_eq!(recorder.names(), ["handler", "first"]);
    body.frame().await.unwrap().unwrap();
    assert_eq!(recorder.names(), ["handler", "first", "second"]);

    // They are one list, as they are without a recorder, when they run after the body.
    let failures = recorder.run_all().await;
    assert_eq!(starts(&timeline), ["handler", "first"]);
    assert_eq!(failures[0].skipped().len(), 1);
}

#[tokio::test]
async fn tasks_that_a_body_queues_keep_to_the_rule_of_the_handlers_list() {
    let timeline = Timeline::new();
    let given = timeline.clone();
    let handler = routing::get(async move |tasks: BackgroundTasks| {
        let _tasks = tasks.continue_on_error();
        streams([given.failing("first"), given.task("second")])
    });
    let recorder = Recorder::new();
    let response = fetch(&app(&recorder, handler), "GET", "/").await;
    to_bytes(response.into_body(), 99).await.unwrap();
    recorder.run_all().await;
    assert_eq!(starts(&timeline), ["first", "second"]);
}

#[tokio::test]
async fn a_task_that_is_added_after_the_response_is_recorded_at_once() {
    let timeline = Timeline::new();
    let (give, kept) = std::sync::mpsc::channel::<BackgroundTasks>();
    let handler = routing::get(async move |tasks: BackgroundTasks| give.send(tasks).unwrap());
    let recorder = Recorder::new();
    let app = app(&recorder, handler);
    drop(fetch(&app, "GET", "/").await);
    let tasks = kept.recv().unwrap();
    tasks.add_task(timeline.failing("late"));
    assert_eq!(recorder.names(), ["late"]);
    tasks.add_task(timeline.task("later"));
    assert_eq!(recorder.names(), ["late", "later"]);

    // Each is on its own, as it is without a recorder, when it runs at once.
    recorder.run_all().await;
    assert_eq!(starts(&timeline), ["late", "later"]);
}

#[tokio::test]
async fn a_task_is_recorded_without_its_state() {
    let recorder = Recorder::new();
    recorder.spawn(Homeless);
    recorder.assert_queued_times::<Homeless>(1);
    let failures = recorder.run_all().await;
    assert!(failures[0].error().is::<MissingState>(), "{failures:?}");
}

#[test]
fn a_task_is_recorded_where_there_is_no_runtime() {
    let recorder = Recorder::new();
    let handle = recorder.spawn(SendEmail::new("ada"));
    assert_eq!(emails(&recorder), ["ada"]);
    handle.abort();
    recorder.assert_nothing_queued();
    assert!(recorder.take::<SendEmail>().is_empty());
}

#[tokio::test]
async fn tasks_that_are_taken_from_a_recorder_belong_to_the_test() {
    let recorder = Recorder::new();
    let upload = recorder.spawn(Upload(Box::new(|| 7)));
    recorder.spawn(SendEmail::new("ada"));
    let [Upload(size)] = &recorder.take::<Upload>()[..] else {
        panic!("one was queued")
    };
    assert_eq!(size(), 7);
    assert_eq!(recorder.names(), ["emails::send_email"]);
    assert!(recorder.take::<Upload>().is_empty());

    let failure = within("its outcome", upload).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    assert!(
        failure.to_string().contains("the test took it"),
        "{failure}"
    );
    assert!(recorder.run_all().await.is_empty());
    let stats = recorder.stats();
    assert_eq!((stats.completed, stats.aborted), (1, 1));
}

#[tokio::test]
async fn two_recorders_do_not_see_each_other() {
    let (one, other) = (Recorder::new(), Recorder::new());
    let (to_one, to_other) = (
        app(&one, queues(StatusCode::OK)),
        app(&other, queues(StatusCode::NOT_FOUND)),
    );
    tokio::join!(fetch(&to_one, "GET", "/"), fetch(&to_other, "GET", "/"));
    one.spawn(named("only here", async {}));
    assert_eq!(emails(&one), ["handler", "handler, always", "response"]);
    assert_eq!(
        emails(&other),
        ["handler, always", "handler, on error", "response"]
    );
    other.run_all().await;
    one.assert_queued_times::<SendEmail>(3);
    assert_eq!(one.names().last(), Some(&"only here"));
}

// Running what is recorded.

fn starts(timeline: &Timeline) -> Vec<String> {
    let names = timeline.names().into_iter();
    names.filter(|name| !name.ends_with(" done")).collect()
}

fn failed(failures: &[TaskFailure]) -> Vec<&'static str> {
    failures
        .iter()
        .map(|failure| failure.task().name())
        .collect()
}

#[tokio::test]
async fn run_all_keeps_to_the_rules_of_each_list() {
    let timeline = Timeline::new();
    let given = timeline.clone();
    let handler = routing::get(async move |tasks: BackgroundTasks| {
        tasks.add_task(given.failing("stops"));
        tasks.add_task(given.task("kept back"));
        let goes_on = tasks![given.panicking("panics"), given.task("goes on")];
        "a page".with_background(goes_on.continue_on_error())
    });
    let recorder = Recorder::new();
    fetch(&app(&recorder, handler), "GET", "/").await;
    recorder.spawn(timeline.task("last"));

    let failures = recorder.run_all().await;
    let ran = ["stops", "panics", "goes on", "last"];
    assert_eq!(starts(&timeline), ran);
    assert_eq!(failed(&failures), ["stops", "panics"]);
    assert_eq!(failures[0].skipped()[0].name(), "kept back");
    assert_eq!(failures[0].request().unwrap().path(), "/");
    let stats = recorder.stats();
    assert_eq!((stats.completed, stats.failed, stats.skipped), (2, 2, 1));
    assert!(recorder.run_all().await.is_empty(), "it was all run");
}

#[tokio::test]
async fn run_all_runs_a_concurrent_list_at_the_same_time_within_the_limit() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let list = BackgroundTasks::concurrent();
    for _ in 0..5 {
        let (running, most) = (running.clone(), most.clone());
        list.add_task(named("counts", async move {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::SeqCst);
        }));
    }
    let recorder = recorder(Background::builder().max_concurrent(2));
    let handler = routing::get(async move || list);
    fetch(&app(&recorder, handler), "GET", "/").await;
    assert!(within("all run", recorder.run_all()).await.is_empty());
    assert_eq!(recorder.stats().completed, 5);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn run_all_waits_for_no_delay_and_no_backoff() {
    let timeline = Timeline::new();
    let recorder = recorder(timeline.background());
    let day = Duration::from_secs(24 * 60 * 60);
    recorder.spawn(Flaky { failures: 3 }.retries(3).delay(day));
    recorder.spawn(timeline.task("behind it").delay(day));

    let begun = Instant::now();
    assert!(recorder.run_all().await.is_empty());
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(
        starts(&timeline),
        ["run 1", "run 2", "run 3", "run 4", "behind it"]
    );
    assert_eq!(recorder.stats().retries, 3);
}

#[tokio::test]
async fn run_all_reports_each_failure_of_a_task_and_returns_the_last() {
    let timeline = Timeline::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = {
        let told = told.clone();
        move |failure: &TaskFailure| {
            let told_of = (failure.attempt(), failure.will_retry());
            told.lock().unwrap().push(told_of);
        }
    };
    let recorder = recorder(timeline.background().on_error(hook));
    recorder.spawn(Flaky { failures: 9 }.retries(1));
    let failures = recorder.run_all().await;
    assert_eq!(failed(&failures), ["flaky"]);
    assert_eq!(failures[0].attempt(), 2);
    assert_eq!(*told.lock().unwrap(), [(1, true), (2, false)]);
}

#[tokio::test(start_paused = true)]
async fn run_all_ends_a_run_at_its_timeout() {
    let recorder = Recorder::new();
    let limit = Duration::from_secs(5);
    recorder.spawn(named("hangs", pending::<()>()).timeout(limit));
    let begun = Instant::now();
    let failures = recorder.run_all().await;
    assert_eq!(failures[0].kind(), FailureKind::Timeout);
    assert!(begun.elapsed() >= limit);
}

#[tokio::test]
async fn run_all_runs_what_tasks_queue_last() {
    let timeline = Timeline::new();
    let recorder = Recorder::new();
    let (background, marks) = (recorder.clone(), timeline.clone());
    let handler = routing::get(async move || {
        let task = named("queues", async move {
            marks.mark("queues");
            let (within, more) = (marks.clone(), background.clone());
            after_response(named("in the request", async move {
                within.mark("in the request");
                more.spawn(within.task("spawned by that"));
            }))
            .expect("in the request's scope");
            background.spawn(marks.task("spawned"));
        });
        "a page".with_background(task)
    });
    // Kept, as a test that looks at it later does.
    let _response = fetch(&app(&recorder, handler), "GET", "/").await;
    recorder.spawn(timeline.task("recorded before"));

    assert!(recorder.run_all().await.is_empty());
    let order = [
        "queues",
        "recorded before",
        "in the request",
        "spawned",
        "spawned by that",
    ];
    assert_eq!(starts(&timeline), order);
    assert_eq!(recorder.stats().completed, 5);
}

#[tokio::test]
async fn a_recorded_task_may_wait_for_what_it_spawns() {
    // With a limit, too: the task keeps its place while it waits.
    let recorder = recorder(Background::builder().max_concurrent(1));
    let background = recorder.clone();
    recorder.spawn(named("outer", async move {
        let inner = background.clone();
        let middle = named(
            "middle",
            async move { inner.spawn(SendEmail::new("ada")).await },
        );
        background.spawn(middle).await
    }));
    // From another thread, too.
    let (background, runtime) = (recorder.clone(), tokio::runtime::Handle::current());
    recorder.spawn(named_blocking("on a thread", move || {
        runtime.block_on(background.spawn(SendEmail::new("grace")))
    }));
    let failures = within("they wait for each other", recorder.run_all()).await;
    assert!(failures.is_empty(), "{failures:?}");
    assert_eq!(recorder.stats().completed, 5);
}

#[tokio::test]
async fn run_all_runs_spawned_tasks_in_turn_even_if_one_yields() {
    let timeline = Timeline::new();
    let recorder = Recorder::new();
    let marks = timeline.clone();
    recorder.spawn(named("yields", async move {
        marks.mark("yields");
        for _ in 0..9 {
            tokio::task::yield_now().await;
        }
        marks.mark("goes on");
    }));
    recorder.spawn(timeline.task("next"));
    recorder.run_all().await;
    assert_eq!(starts(&timeline), ["yields", "goes on", "next"]);
}

#[tokio::test]
async fn a_handle_aborts_its_recorded_task() {
    let recorder = Recorder::new();
    recorder.spawn(SendEmail::new("not run")).abort();
    let background = recorder.clone();
    recorder.spawn(named("outer", async move {
        let started = Arc::new(Notify::new());
        let told = started.clone();
        let hangs = background.spawn(named("hangs", async move {
            told.notify_one();
            pending::<()>().await;
        }));
        started.notified().await;
        hangs.abort();
        assert_eq!(hangs.await.unwrap_err().kind(), FailureKind::Aborted);
    }));
    assert_eq!(recorder.names(), ["outer"]);
    let failures = within("the task is dropped", recorder.run_all()).await;
    assert_eq!(failed(&failures), ["hangs"]);
    let stats = recorder.stats();
    assert_eq!((stats.completed, stats.aborted), (1, 2));
}

#[tokio::test]
async fn handles_of_recorded_tasks_resolve_when_they_are_run() {
    let timeline = Timeline::new();
    let recorder = Recorder::new();
    let mut good = recorder.spawn(timeline.task("good"));
    let bad = recorder.spawn(timeline.failing("bad"));
    assert!(futures_util::poll!(&mut good).is_pending());
    let failures = recorder.run_all().await;
    within("the outcome of the one", good).await.unwrap();
    let failure = within("that of the other", bad).await.unwrap_err();
    assert_eq!(failure.id(), failures[0].id());
}

#[tokio::test]
async fn run_all_waits_for_async_hooks_and_runs_what_they_queue() {
    let timeline = Timeline::new();
    let (marks, go_on) = (timeline.clone(), Arc::new(Notify::new()));
    let (background, given) = (Arc::new(Mutex::new(None::<Background>)), go_on.clone());
    let known = background.clone();
    let builder = Background::builder().on_error_async(move |failure| {
        let background = known.lock().unwrap().clone();
        let (marks, go_on) = (marks.clone(), given.clone());
        async move {
            go_on.notified().await;
            marks.mark(format!("told of {}", failure.task().name()));
            background.unwrap().spawn(marks.task("queued by the hook"));
        }
    });
    let recorder = recorder(builder);
    *background.lock().unwrap() = Some(recorder.clone());
    recorder.spawn(timeline.failing("fails"));
    let let_it = named("lets it", async move { go_on.notify_one() });
    recorder.spawn(let_it);

    within("the hook ends", recorder.run_all()).await;
    let order = ["fails", "told of fails", "queued by the hook"];
    assert_eq!(starts(&timeline), order);
    *background.lock().unwrap() = None;
}

#[tokio::test]
async fn a_run_all_that_is_dropped_leaves_the_rest_recorded() {
    let recorder = Recorder::new();
    recorder.spawn(named("hangs", pending::<()>()));
    recorder.spawn(SendEmail::new("rest"));
    assert!(futures_util::poll!(Box::pin(recorder.run_all())).is_pending());
    assert_eq!(emails(&recorder), ["rest"]);
    recorder.run_all().await;
    let stats = recorder.stats();
    assert_eq!((stats.completed, stats.aborted), (1, 1));
}

#[tokio::test]
async fn tasks_that_queue_more_and_more_leave_the_test_a_chance_to_give_up() {
    /// Spawns itself this many times, which is more than any test waits for.
    #[derive(Debug)]
    struct Again(Background, u32);
    impl Task for Again {
        const DEF: &'static TaskDef = &TaskDef::new("again");

        async fn run(self, _: TaskContext) -> TaskResult {
            let Self(background, times) = self;
            if times > 0 {
                background.spawn(Self(background.clone(), times - 1));
            }
            Ok(())
        }
    }
    let recorder = Recorder::new();
    recorder.spawn(Again(recorder.clone(), 10_000));
    assert!(futures_util::poll!(Box::pin(recorder.run_all())).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_a_recorder_runs_what_is_recorded() {
    let timeline = Timeline::new();
    let recorder = Recorder::new();
    recorder.spawn(timeline.task("drained"));
    let report = recorder.shutdown().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.elapsed(), Duration::ZERO);
    assert_eq!(starts(&timeline), ["drained"]);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_of_a_recorder_names_what_it_has_no_time_for() {
    let timeline = Timeline::new();
    let limit = Duration::from_secs(1);
    let recorder = recorder(Background::builder().drain_timeout(limit));
    recorder.spawn(named("hangs", pending::<()>()));
    recorder.spawn(timeline.task("behind it"));
    let report = recorder.shutdown().await;
    let unfinished = report.unfinished().iter();
    let names: Vec<_> = unfinished.map(|task| task.task().name()).collect();
    assert_eq!(names, ["hangs", "behind it"]);
    assert!(starts(&timeline).is_empty());
}

// What the builder says.

/// P-STATE-1
#[tokio::test]
async fn a_recorder_has_the_states_and_hooks_of_its_builder() {
    let (timeline, failures) = (Timeline::new(), Failures::default());
    let builder = timeline.background().on_error(failures.hook(&timeline));
    let recorder = recorder(builder);
    recorder.spawn(Flaky { failures: 1 });
    recorder.run_all().await;
    assert_eq!(timeline.names(), ["run 1", "flaky error"]);
}

#[test]
fn a_recorder_refuses_a_builder_with_problems() {
    let builder = Background::builder().max_pending(0, Overflow::Wait);
    let error = Recorder::from_builder(builder).unwrap_err();
    assert!(
        error.to_string().contains("`max_pending` is zero"),
        "{error}"
    );
}

#[tokio::test]
async fn under_a_recorder_no_response_waits_for_room() {
    let recorder = recorder(Background::builder().max_pending(1, Overflow::Wait));
    let app = app(&recorder, queues(StatusCode::OK));
    within("the first response", fetch(&app, "GET", "/")).await;
    within("the second response", fetch(&app, "GET", "/")).await;
    recorder.assert_queued_times::<SendEmail>(6);
}

#[tokio::test]
async fn a_recorder_refuses_tasks_beyond_max_pending() {
    let recorder = recorder(Background::builder().max_pending(2, Overflow::Reject));
    for to in ["ada", "grace", "edsger"] {
        recorder.spawn(SendEmail::new(to));
    }
    assert_eq!(emails(&recorder), ["ada", "grace"]);
    recorder.run_all().await;
    recorder.spawn(SendEmail::new("there is room again"));
    recorder.assert_queued_times::<SendEmail>(1);
}

#[tokio::test]
async fn run_all_runs_isolated_tasks_on_the_thread_of_the_test() {
    let recorder = recorder(Background::builder().isolated(1));
    let here = std::thread::current().id();
    recorder.spawn(named("here", async move {
        assert_eq!(std::thread::current().id(), here);
    }));
    assert!(recorder.run_all().await.is_empty());
}

// The end.

#[tokio::test]
async fn a_recorder_that_is_dropped_gives_up_its_tasks_in_silence() {
    logs::keep();
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let hook = move |_: &TaskFailure| {
        count.fetch_add(1, Ordering::SeqCst);
    };
    for recorder in [
        Recorder::new(),
        recorder(Background::builder().on_error(hook)),
    ] {
        let app = app(&recorder, queues(StatusCode::OK));
        let response = fetch(&app, "GET", "/").await;
        let background = recorder.clone();
        let handle = background.spawn(named("given up", async {}));
        drop(recorder);
        drop(response);
        let late = background.spawn(named("given up late", async {}));
        fetch(&app, "GET", "/").await;

        for handle in [handle, late] {
            let failure = within("its outcome", handle).await.unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Aborted);
            let text = failure.to_string();
            assert!(text.contains("its recorder was dropped"), "{text}");
        }
        let stats = background.stats();
        assert_eq!((stats.accepted, stats.aborted), (10, 8), "{stats}");
        assert!(is_balanced(&stats), "{stats}");
    }
    assert_eq!(told.load(Ordering::SeqCst), 0);
    assert!(logs::lines_with("given up").is_empty());
}

#[tokio::test]
async fn a_recorder_that_is_dropped_lets_go_of_everything() {
    let held = Arc::new(());
    let recorder = recorder(Background::builder().state(held.clone()));
    fetch(&app(&recorder, queues(StatusCode::OK)), "GET", "/").await;
    drop(recorder);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn a_failed_assertion_points_at_the_test() {
    let file = Arc::new(Mutex::new(None));
    let (noted, here) = (file.clone(), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() == here {
            *noted.lock().unwrap() = panic.location().map(|place| place.file().to_owned());
        }
        before(panic);
    }));
    let recorder = Recorder::new();
    recorder.spawn(SendEmail::new("ada"));
    let assertions: [fn(&Recorder); 4] = [
        |recorder| recorder.assert_queued(SendEmail::new("grace")),
        |recorder| recorder.assert_queued_times::<SendEmail>(2),
        |recorder| recorder.assert_not_queued::<SendEmail>(),
        |recorder| recorder.assert_nothing_queued(),
    ];
    for assertion in assertions {
        let failing = std::panic::AssertUnwindSafe(|| assertion(&recorder));
        assert!(std::panic::catch_unwind(failing).is_err());
        let file = file.lock().unwrap().take();
        assert_eq!(file.as_deref(), Some(file!()));
    }
}

#[tokio::test]
async fn a_task_that_fails_for_ever_leaves_the_tests_own_timeout_a_chance() {
    let recorder = Recorder::from_builder(Timeline::new().background()).unwrap();
    recorder.spawn(Flaky { failures: u32::MAX }.retries(u32::MAX));
    let run = tokio::time::timeout(Duration::from_millis(20), recorder.run_all());
    assert!(run.await.is_err());
    assert!(recorder.stats().retries > 1);
}
