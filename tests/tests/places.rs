//! Where the tasks of a route go that no layer is around, and no server of the library: to the request that
//! is being handled, to the installed `Background`, or to the only one that is alive.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing;
use bg_runtime::testing::Recorder;
use bg_runtime::{
    Background, BackgroundTasks, MissingState, SkipReason, TaskFailure, background_task, get,
    named, routes, tasks,
};
use tests::tasks::{settled, skip_reason};
use tests::{
    Client, Http1, Protocol, Server, Setup, Timeline, in_own_process, logs, on_every_setup, within,
};
use tower::ServiceExt;

#[background_task]
async fn note(what: &str, #[state] timeline: Timeline) {
    timeline.mark(what);
}

#[get("/", background = Note::new("route"))]
async fn index(tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(Note::new("handler"));
    (Note::new("response"), "hello")
}

#[get("/silent")]
async fn silent() -> &'static str {
    "nothing is queued"
}

fn request(path: &str) -> Request {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Calls a router as a server would. The response counts as sent.
async fn call(app: &Router, path: &str) -> StatusCode {
    let response = app.clone().oneshot(request(path)).await.unwrap();
    response.status()
}

fn built(timeline: &Timeline) -> Background {
    timeline.background().build().unwrap()
}

async fn all_ran_on(background: &Background, timeline: &Timeline) {
    let stats = settled(background, 3).await;
    assert_eq!(stats.completed, 3, "{stats:?}");
    assert_eq!(timeline.names(), ["route", "handler", "response"]);
}

/// P-GLOBAL-3
#[test]
fn a_route_added_after_the_layer_uses_the_only_background_alive() {
    in_own_process(
        "a_route_added_after_the_layer_uses_the_only_background_alive",
        async || {
            let timeline = Timeline::new();
            let background = built(&timeline);
            let app: Router = Router::new()
                .layer(background.layer())
                .merge(routes![index]);
            assert_eq!(call(&app, "/").await, StatusCode::OK);
            all_ran_on(&background, &timeline).await;
            assert_eq!(Background::global().stats().accepted, 0);
        },
    );
}

/// P-GLOBAL-3
#[test]
fn a_background_that_was_shut_down_or_dropped_is_not_alive() {
    in_own_process(
        "a_background_that_was_shut_down_or_dropped_is_not_alive",
        async || {
            let timeline = Timeline::new();
            let ended = built(&timeline);
            drop(built(&timeline));
            let background = built(&timeline);
            ended.shutdown().await;
            let app: Router = routes![index];
            call(&app, "/").await;
            all_ran_on(&background, &timeline).await;
            assert_eq!(ended.stats().accepted, 0);
        },
    );
}

/// P-GLOBAL-3
#[test]
fn a_recorder_is_not_used_by_a_route_that_it_has_no_layer_around() {
    in_own_process(
        "a_recorder_is_not_used_by_a_route_that_it_has_no_layer_around",
        async || {
            let timeline = Timeline::new();
            let background = built(&timeline);
            let recorders = [
                Recorder::new(),
                Recorder::from_builder(timeline.background()).unwrap(),
            ];
            let app: Router = routes![index];
            call(&app, "/").await;
            all_ran_on(&background, &timeline).await;
            for recorder in recorders {
                recorder.assert_nothing_queued();
            }
        },
    );
}

/// P-GLOBAL-2
#[test]
fn the_installed_background_comes_before_the_others_that_are_alive() {
    in_own_process(
        "the_installed_background_comes_before_the_others_that_are_alive",
        async || {
            let timeline = Timeline::new();
            let [first, installed, last] = [(); 3].map(|()| built(&timeline));
            installed.install_global().unwrap();
            let app: Router = routes![index];
            call(&app, "/").await;
            all_ran_on(&installed, &timeline).await;
            assert_eq!(first.stats().accepted + last.stats().accepted, 0);
        },
    );
}

/// P-GLOBAL-4
#[test]
fn with_two_alive_the_tasks_are_skipped_and_the_log_names_the_handler() {
    in_own_process(
        "with_two_alive_the_tasks_are_skipped_and_the_log_names_the_handler",
        async || {
            logs::keep();
            let timeline = Timeline::new();
            let both = [(); 2].map(|()| built(&timeline));
            let app: Router = routes![index, silent];

            call(&app, "/silent").await;
            assert!(logs::lines_with("no `Background`").is_empty());

            call(&app, "/").await;
            call(&app, "/").await;
            let stats = settled(&Background::global(), 6).await;
            assert_eq!(stats.skipped, 6, "{stats:?}");
            for background in &both {
                assert_eq!(background.stats().accepted, 0);
            }
            let lines = logs::lines_with("declared=");
            let [line] = lines.as_slice() else {
                panic!("once for each handler: {lines:?}")
            };
            for part in [
                "ERROR",
                "places::index",
                "http.route=\"/\"",
                "places.rs:",
                ".layer(background.layer())",
            ] {
                assert!(line.contains(part), "{part}: {line}");
            }
            let skipped = logs::lines_with("background task skipped");
            assert_eq!(skipped.len(), 6, "{skipped:?}");
            assert!(skipped[0].contains("more than one is alive"), "{skipped:?}");

            // With one of them, there is no doubt any more.
            let [background, other] = both;
            drop(other);
            call(&app, "/").await;
            all_ran_on(&background, &timeline).await;
        },
    );
}

/// P-GLOBAL-4
#[test]
fn with_two_alive_a_layer_around_the_route_says_which_one_it_is() {
    in_own_process(
        "with_two_alive_a_layer_around_the_route_says_which_one_it_is",
        async || {
            let timeline = Timeline::new();
            let [background, other] = [(); 2].map(|()| built(&timeline));
            let app: Router = routes![index].layer(background.layer());
            call(&app, "/").await;
            all_ran_on(&background, &timeline).await;
            assert_eq!(other.stats().accepted, 0);
            assert_eq!(Background::global().stats().accepted, 0);
        },
    );
}

/// P-GLOBAL-1
#[test]
fn with_none_alive_a_route_uses_the_global_one_that_is_made_for_it() {
    in_own_process(
        "with_none_alive_a_route_uses_the_global_one_that_is_made_for_it",
        async || {
            for protocol in Protocol::ALL {
                let timeline = Timeline::new();
                let setup = Setup {
                    serving: tests::Serving::PlainAxum,
                    ..Setup::DEFAULT
                };
                let app = routes![on_its_own].with_state(timeline.clone());
                let server = Server::start(setup, &timeline, || (Background::global(), app)).await;
                let mut client = Client::connect(protocol, server.address()).await;
                let response = client.fetch("GET", "/on-its-own").await;
                timeline.reached("response done").await;
                let write = server.last_write(response.end).await;
                assert!(write.is_before(&timeline.reached("route").await));
                let done = ["route", "handler", "response"].map(|name| format!("{name} done"));
                let names = timeline.names();
                assert!(names.iter().filter(|name| done.contains(name)).eq(&done));
            }
            let background = built(&Timeline::new());
            assert!(background.install_global().is_err());
        },
    );
}

#[get("/on-its-own", background = timeline.task("route"))]
async fn on_its_own(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(timeline.task("handler"));
    (timeline.task("response"), "ok")
}

#[test]
fn a_state_missing_on_the_global_one_is_not_blamed_on_the_builder() {
    in_own_process(
        "a_state_missing_on_the_global_one_is_not_blamed_on_the_builder",
        async || {
            let failure = Background::global().spawn(Note::new("never")).await;
            let failure = failure.unwrap_err();
            let missing: &MissingState = failure.error().downcast_ref().expect("the reason");
            let text = missing.to_string();
            assert!(text.contains("ran on `Background::global()`"), "{text}");
            assert!(text.contains(".layer(background.layer())"), "{text}");

            let recorder = Recorder::new();
            recorder.spawn(Note::new("never"));
            let failures = recorder.run_all().await;
            let text = failures[0].to_string();
            assert!(text.contains("Recorder::from_builder"), "{text}");
        },
    );
}

#[test]
fn a_list_dropped_outside_a_request_is_counted_where_a_route_would_be() {
    in_own_process(
        "a_list_dropped_outside_a_request_is_counted_where_a_route_would_be",
        async || {
            let reasons = Arc::<Mutex<Vec<SkipReason>>>::default();
            let hook = {
                let reasons = reasons.clone();
                move |failure: &TaskFailure| reasons.lock().unwrap().push(skip_reason(failure))
            };
            let only = Background::builder().state(Timeline::new());
            let only = only.on_error(hook).build().unwrap();
            drop(tasks![named("dropped", async {})]);
            assert_eq!(only.stats().skipped, 1);
            assert_eq!(*reasons.lock().unwrap(), [SkipReason::NeverAttached]);

            let another = built(&Timeline::new());
            drop(tasks![named("dropped", async {})]);
            assert_eq!(only.stats().skipped + another.stats().skipped, 1);
            assert_eq!(Background::global().stats().skipped, 1);
        },
    );
}

/// Passes on a request of its own.
async fn anew(request: Request, next: Next) -> Response {
    let uri = request.uri().clone();
    let anew = Request::get(uri).body(Body::empty()).unwrap();
    next.run(anew).await
}

/// P-SOURCES-3
#[tokio::test]
async fn a_middleware_that_passes_on_a_request_of_its_own_loses_no_task() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let plain = Router::new().route(
            "/plain",
            routing::get(async |tasks: BackgroundTasks| tasks.add_task(Note::new("plain"))),
        );
        let app = routes![index].merge(plain).layer(from_fn(anew));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        let response = client.fetch("GET", "/").await;
        assert_eq!(response.body, "hello");
        let write = server.last_write(response.end).await;
        assert!(write.is_before(&timeline.reached("route").await));
        timeline.reached("response").await;
        assert_eq!(client.fetch("GET", "/plain").await.head.status, 200);
        timeline.reached("plain").await;
        assert_eq!(settled(server.background(), 4).await.completed, 4);
    })
    .await;
}

/// Answers with what another router says, and only then sends its own response.
async fn calls_a_router(
    State((app, timeline)): State<(Router, Timeline)>,
    tasks: BackgroundTasks,
) -> String {
    tasks.add_task(timeline.task("before"));
    let response = app.oneshot(request("/")).await.unwrap();
    let body = axum::body::to_bytes(response.into_body(), 100).await;
    // What has been read and dropped counts as sent, if it is a request of its own.
    let a_while = std::time::Duration::from_millis(20);
    timeline.stays_without("route", a_while).await;
    timeline.mark("responding");
    String::from_utf8(body.unwrap().to_vec()).unwrap()
}

async fn a_handler_calls(setup: Setup, inner: impl FnOnce(&Background) -> Router + Send + 'static) {
    let timeline = Timeline::new();
    let server = Server::start(setup, &timeline, {
        let timeline = timeline.clone();
        move || {
            let background = built(&timeline);
            let app = Router::new()
                .route("/outer", routing::get(calls_a_router))
                .with_state((inner(&background), timeline));
            (background, app)
        }
    })
    .await;
    let mut client = Http1::connect(server.address()).await;
    let response = client.fetch("GET", "/outer").await;
    assert_eq!(response.body, "hello");
    let write = server.last_write(response.end).await;
    assert!(write.is_before(&timeline.reached("route").await));
    let stats = settled(server.background(), 4).await;
    assert_eq!(stats.completed, 4, "{stats:?}");
    assert_eq!(
        timeline.names(),
        [
            "responding",
            "route",
            "before",
            "before done",
            "handler",
            "response"
        ]
    );
}

/// P-SOURCES-3
#[tokio::test]
async fn the_tasks_of_a_router_that_a_handler_calls_wait_for_its_response() {
    on_every_setup(async |setup| {
        a_handler_calls(setup, |_| routes![index]).await;
        a_handler_calls(setup, |background| routes![index].layer(background.layer())).await;
    })
    .await;
}

/// P-SOURCES-3
#[tokio::test]
async fn a_layer_of_another_background_around_a_called_router_keeps_its_tasks() {
    let timeline = Timeline::new();
    let [outer, inner] = [(); 2].map(|()| built(&timeline));
    let called: Router = routes![index].layer(inner.layer());
    let app = Router::new()
        .route("/outer", routing::get(calls_a_router))
        .with_state((called, timeline.clone()))
        .layer(outer.layer());
    assert_eq!(call(&app, "/outer").await, StatusCode::OK);
    assert_eq!(settled(&inner, 3).await.completed, 3);
    assert_eq!(settled(&outer, 1).await.completed, 1);
}

#[get("/fails", background = Note::new("never"))]
async fn fails() -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

/// P-SOURCES-3
#[tokio::test]
async fn a_router_that_a_task_calls_has_a_request_of_its_own_there() {
    for layered in [false, true] {
        let timeline = Timeline::new();
        let background = built(&timeline);
        let mut called: Router = routes![index, fails];
        if layered {
            called = called.layer(background.layer());
        }
        let task = named("calls", async move {
            assert_eq!(call(&called, "/fails").await, 500);
            assert_eq!(call(&called, "/").await, 200);
        });
        tests::tasks::respond_with(&background, task).await;
        timeline.reached("response").await;
        let stats = settled(&background, 5).await;
        assert_eq!((stats.completed, stats.skipped), (4, 1), "{stats:?}");
    }
}

/// In most of the examples it is the only one, and nothing is said.
#[test]
fn a_global_background_beside_one_that_was_built_is_a_warning_once() {
    in_own_process(
        "a_global_background_beside_one_that_was_built_is_a_warning_once",
        async || {
            logs::keep();
            let warnings = || logs::lines_with("makes another `Background`");
            let built = built(&Timeline::new());
            for _ in 0..2 {
                let task = Background::global().spawn(named("task", async {}));
                within("the task", task).await.unwrap();
            }
            let [warning] = &warnings()[..] else {
                panic!("{:?}", warnings());
            };
            assert!(warning.contains("tests/places.rs"), "{warning}");
            assert_eq!(built.stats().accepted, 0);

            // One that was installed is the one that was built.
            Background::global().shutdown().await;
            built.install_global().unwrap();
            assert_eq!(Background::global().stats(), built.stats());
            assert_eq!(warnings().len(), 1);
            // And without one there is nothing to mistake it for.
            built.shutdown().await;
            drop(built);
            drop(Background::global());
            assert_eq!(warnings().len(), 1);
        },
    );
}
