//! `background.layer().detach()` and `background.serve(..).detach()`: every handler is finished though its
//! client left.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response, StatusCode};
use axum::routing::{any, post};
use bg_runtime::{Background, BackgroundTasks, SkipReason, TaskFailure, named, routes};
use tests::tasks::{Failures, settled, skip_reason};
use tests::{Http1, Http2, Server, Setup, Timeline, eventually};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

/// Queues a task, and ends when it is told to.
async fn pay(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.task("before"));
    timeline.mark("handling");
    timeline.reached("go on").await;
    timeline.mark("handled");
    tasks.add_task(timeline.task("after"));
    "paid"
}

async fn fails(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    tasks.add_task(timeline.task("before"));
    timeline.mark("handling");
    timeline.reached("go on").await;
    panic!("out of luck");
}

async fn refuses(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> StatusCode {
    tasks.add_task(timeline.task("before"));
    timeline.mark("handling");
    timeline.reached("go on").await;
    StatusCode::CONFLICT
}

fn app() -> Router<Timeline> {
    Router::new()
        .route("/pay", post(pay))
        .route("/fail", post(fails))
        .route("/refuse", post(refuses))
        .merge(routes![pay_detached])
}

#[bg_runtime::post("/twice", detach)]
async fn pay_detached(timeline: State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    pay(timeline, tasks).await
}

/// Starts a request over each protocol, in each setup, and leaves while it is handled.
async fn on_every_client_that_leaves(path: &str, then: impl AsyncFn(Server, Timeline)) {
    for setup in Setup::detached() {
        for http2 in [false, true] {
            eprintln!("{setup:?} http2: {http2}");
            let timeline = Timeline::new();
            let server = Server::run(setup, &timeline, app()).await;
            if http2 {
                let mut client = Http2::connect(server.address()).await;
                let (_, response) = client.start("POST", path);
                timeline.reached("handling").await;
                drop(response);
                // The reset has arrived when a later request has been answered.
                client.fetch("GET", "/nowhere").await;
            } else {
                let mut client = Http1::connect(server.address()).await;
                client.start("POST", path).await;
                timeline.reached("handling").await;
                client.reset();
                // Answered after what was read of the first connection.
                Http1::connect(server.address())
                    .await
                    .fetch("GET", "/nowhere")
                    .await;
            }
            then(server, timeline).await;
        }
    }
}

async fn paid_without_a_client(path: &str) {
    on_every_client_that_leaves(path, async |server, timeline| {
        timeline.mark("go on");
        timeline.reached("after done").await;
        let names = timeline.names();
        assert_eq!(
            names[2..],
            ["handled", "before", "before done", "after", "after done"]
        );
        assert_eq!(settled(server.background(), 2).await.completed, 2);
    })
    .await;
}

/// P-LEAVE-4
#[tokio::test]
async fn every_handler_under_detach_is_finished_without_its_client() {
    paid_without_a_client("/pay").await;
}

/// P-LEAVE-4
#[tokio::test]
async fn a_handler_that_is_detached_twice_is_finished_once() {
    paid_without_a_client("/twice").await;
}

/// P-LEAVE-4
#[tokio::test]
async fn a_handler_that_panics_without_its_client_has_its_tasks_skipped() {
    on_every_client_that_leaves("/fail", async |server, timeline| {
        timeline.mark("go on");
        let failure = server.failure("before").await;
        assert_eq!(skip_reason(&failure), SkipReason::HandlerPanicked);
        assert_eq!(settled(server.background(), 1).await.skipped, 1);
    })
    .await;
}

/// P-LEAVE-4
#[tokio::test]
async fn a_handler_that_refuses_without_its_client_has_its_tasks_skipped() {
    on_every_client_that_leaves("/refuse", async |server, timeline| {
        timeline.mark("go on");
        let failure = server.failure("before").await;
        let reason = SkipReason::ErrorResponse(StatusCode::CONFLICT);
        assert_eq!(skip_reason(&failure), reason);
        assert_eq!(settled(server.background(), 1).await.skipped, 1);
    })
    .await;
}

/// P-LEAVE-4
#[tokio::test]
async fn a_shutdown_waits_for_handlers_under_detach_whose_client_has_left() {
    on_every_client_that_leaves("/pay", async |server, timeline| {
        server.begin_stop();
        timeline.mark("go on");
        let report = server.stopped().await;
        assert_eq!(report.stats().completed, 2, "{report}");
        assert!(report.is_clean(), "{report}");
    })
    .await;
}

#[tokio::test]
async fn a_handler_under_detach_answers_like_any_other_and_its_tasks_wait() {
    for setup in Setup::detached() {
        let timeline = Timeline::new();
        timeline.mark("go on");
        let server = Server::run(setup, &timeline, app()).await;
        for path in ["/pay", "/twice"] {
            let seen = timeline.count("after done");
            let mut client = Http1::connect(server.address()).await;
            let response = client.fetch("POST", path).await;
            assert_eq!(response.body, "paid");
            timeline.reached_times("after done", seen + 1).await;
            if seen == 0 {
                let write = server.last_write(response.end).await;
                assert!(write.is_before(&timeline.reached("before").await));
            }
        }
        assert_eq!(settled(server.background(), 4).await.completed, 4);

        // A panic reaches the connection, as without `detach`.
        let mut client = Http1::connect(server.address()).await;
        client.start("POST", "/fail").await;
        client.until_closed().await;
        let failure = server.failure("before").await;
        assert_eq!(skip_reason(&failure), SkipReason::HandlerPanicked);
    }
}

struct Slow {
    background: Background,
    failures: Failures,
    go_on: Arc<Notify>,
}

impl Slow {
    fn new() -> (Self, Router) {
        let (failures, go_on) = (Failures::default(), Arc::new(Notify::new()));
        let hook = failures.hook(&Timeline::new());
        let background = Background::builder().on_error(hook).build().unwrap();
        let app = Router::new()
            .route("/", any(slow))
            .merge(routes![slow_detached])
            .with_state(go_on.clone());
        let slow = Self {
            background,
            failures,
            go_on,
        };
        (slow, app)
    }

    /// Calls the app, whose timeout answers.
    async fn times_out(&self, app: &Router, path: &str) {
        let request = Request::post(path).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    }
}

async fn slow(State(go_on): State<Arc<Notify>>, tasks: BackgroundTasks) {
    tasks.add_task(named("before", async {}));
    go_on.notified().await;
    tasks.add_task(named("after", async {}));
}

#[bg_runtime::post("/detached", detach)]
async fn slow_detached(go_on: State<Arc<Notify>>, tasks: BackgroundTasks) {
    slow(go_on, tasks).await;
}

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1))
}

/// P-LEAVE-4
#[tokio::test(start_paused = true)]
async fn a_timeout_outside_of_detach_answers_and_the_handler_goes_on() {
    for path in ["/", "/detached"] {
        let (slow, app) = Slow::new();
        // A timeout between two layers, and one around both.
        let apps = [
            app.clone()
                .layer(slow.background.layer().detach())
                .layer(timeout()),
            app.layer(slow.background.layer().detach())
                .layer(timeout())
                .layer(slow.background.layer()),
        ];
        for (completed, app) in [2, 4].into_iter().zip(apps) {
            slow.times_out(&app, path).await;
            assert_eq!(slow.background.stats().pending, 1);
            slow.go_on.notify_one();
            let done = || slow.background.stats().completed == completed;
            eventually("its tasks run", done).await;
        }
    }
}

/// P-LEAVE-4
#[tokio::test(start_paused = true)]
async fn a_timeout_inside_of_detach_ends_the_handler_and_skips_its_tasks() {
    let (slow, app) = Slow::new();
    let app = app.layer(timeout()).layer(slow.background.layer().detach());
    slow.times_out(&app, "/").await;
    let failure = slow.failures.of("before").expect("skipped");
    let reason = SkipReason::ErrorResponse(StatusCode::REQUEST_TIMEOUT);
    assert_eq!(skip_reason(&failure), reason);
    assert_eq!(settled(&slow.background, 1).await.skipped, 1);
}

/// P-LEAVE-4
#[tokio::test(start_paused = true)]
async fn a_timeout_between_two_detached_handlers_lets_the_inner_one_go_on() {
    let (slow, app) = Slow::new();
    let app = app.layer(timeout()).layer(slow.background.layer().detach());
    slow.times_out(&app, "/detached").await;
    assert_eq!(slow.background.stats().pending, 1);
    slow.go_on.notify_one();
    let done = || slow.background.stats().completed == 2;
    eventually("its tasks run", done).await;
}

async fn panics(tasks: BackgroundTasks) {
    tasks.add_task(named("before", async {}));
    panic!("out of luck");
}

#[tokio::test]
async fn a_panic_under_detach_reaches_a_layer_that_catches_panics() {
    let (slow, _) = Slow::new();
    let app: Router = Router::new()
        .route("/", post(panics))
        .layer(slow.background.layer().detach())
        .layer(CatchPanicLayer::new());
    let request = Request::post("/").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    eventually("skipped", || slow.failures.count() == 1).await;
    let reason = skip_reason(&slow.failures.of("before").expect("skipped"));
    assert_eq!(reason, SkipReason::HandlerPanicked);
}

#[tokio::test]
async fn a_service_under_detach_that_fails_passes_its_error_on() {
    let background = Background::builder()
        .on_error(|_: &TaskFailure| {})
        .build()
        .unwrap();
    let fails = tower::service_fn(async |request: Request<Body>| {
        let tasks = request.extensions().len();
        Err::<Response<Body>, _>(format!("{tasks} extension"))
    });
    let service = background.layer().detach().layer(fails);
    let error = service.oneshot(Request::default()).await.unwrap_err();
    assert_eq!(error, "1 extension");

    let works = tower::service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let service = background.layer().detach().layer(works);
    assert_eq!(
        service.oneshot(Request::default()).await.unwrap().status(),
        200
    );
}
