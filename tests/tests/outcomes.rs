//! What becomes of a request's tasks when the request, its response or a task itself goes wrong.

use std::{convert::Infallible, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{Request, StatusCode, request::Parts},
    response::{IntoResponse, Response},
    routing,
};
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, SkipReason, TaskContext, TaskExt, WithBackground,
    after_response, background_task, get, named, named_blocking, post, routes,
};
use bytes::Bytes;
use futures_util::StreamExt;
use serde::Deserialize;
use tests::{
    Client, Http1, Protocol, Server, Serving, Setup, Timeline, in_own_process, logs,
    on_every_setup,
    tasks::{settled, skip_reason},
};
use tokio::sync::mpsc;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

fn starts(timeline: &Timeline) -> Vec<String> {
    let names = timeline.names().into_iter();
    names.filter(|name| !name.contains(' ')).collect()
}

#[derive(Deserialize)]
struct Order {
    amount: u32,
}

fn queue_one_of_each(timeline: &Timeline, tasks: &BackgroundTasks) {
    tasks.add_task(timeline.task("handler"));
    tasks.add_task(timeline.task("handler-always").always());
    tasks.add_task(timeline.task("handler-on-error").on_error_response());
}

fn responding(timeline: &Timeline, status: StatusCode) -> Response {
    (status, timeline.task("response"), "answer").into_response()
}

#[get("/{status}", background = [
    timeline.task("route"),
    timeline.task("route-always").always(),
    timeline.task("route-on-error").on_error_response(),
])]
async fn answers(
    status: u16,
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
) -> Response {
    queue_one_of_each(&timeline, &tasks);
    responding(&timeline, StatusCode::from_u16(status).unwrap())
}

/// P-STATUS-3, P-STATUS-4
#[tokio::test]
async fn after_a_success_every_task_runs_but_those_for_error_responses() {
    on_every_setup(async |setup| {
        for status in [200, 201, 303, 399] {
            let timeline = Timeline::new();
            let server = Server::run(setup, &timeline, routes![answers]).await;
            let mut client = Client::connect(Protocol::Http1, server.address()).await;
            client.fetch("GET", &format!("/{status}")).await;
            let stats = settled(server.background(), 7).await;
            assert_eq!((stats.completed, stats.skipped), (5, 2));
            let expected = [
                "route",
                "route-always",
                "handler",
                "handler-always",
                "response",
            ];
            assert_eq!(starts(&timeline), expected);
            // A condition that does not hold is no failure.
            assert_eq!(server.failures().count(), 0);
        }
    })
    .await;
}

/// P-STATUS-1, P-STATUS-3, P-STATUS-4, P-STATUS-5
#[tokio::test]
async fn after_an_error_only_tasks_for_it_and_those_of_the_response_run() {
    on_every_setup(async |setup| {
        for status in [400, 404, 422, 500, 503] {
            let timeline = Timeline::new();
            let server = Server::run(setup, &timeline, routes![answers]).await;
            let mut client = Client::connect(Protocol::Http2, server.address()).await;
            client.fetch("GET", &format!("/{status}")).await;
            let stats = settled(server.background(), 7).await;
            assert_eq!((stats.completed, stats.skipped), (5, 2));
            let expected = [
                "route-always",
                "route-on-error",
                "handler-always",
                "handler-on-error",
                "response",
            ];
            assert_eq!(starts(&timeline), expected);
            for skipped in ["route", "handler"] {
                let reason = skip_reason(&server.failure(skipped).await);
                let status = StatusCode::from_u16(status).unwrap();
                assert_eq!(reason, SkipReason::ErrorResponse(status));
            }
        }
    })
    .await;
}

#[post("/orders", background = [
    timeline.task("route"),
    timeline.task("route-on-error").on_error_response(),
])]
async fn order(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
    Json(order): Json<Order>,
) -> String {
    tasks.add_task(timeline.task("handler"));
    order.amount.to_string()
}

async fn plain_order(
    State(timeline): State<Timeline>,
    _: QueuesFirst,
    tasks: BackgroundTasks,
    Json(order): Json<Order>,
) -> String {
    tasks.add_task(timeline.task("handler"));
    order.amount.to_string()
}

/// An extractor that queues a task of its own.
struct QueuesFirst;

impl axum::extract::FromRequestParts<Timeline> for QueuesFirst {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        timeline: &Timeline,
    ) -> Result<Self, Infallible> {
        let tasks = BackgroundTasks::from_request_parts(parts, timeline).await;
        let tasks = tasks.expect("collected");
        tasks.add_task(timeline.task("extractor"));
        tasks.add_task(timeline.task("extractor-on-error").on_error_response());
        Ok(Self)
    }
}

/// P-STATUS-2
#[tokio::test]
async fn an_extractor_that_rejects_is_an_error_response() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/orders", routing::post(plain_order));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        let response = client
            .fetch_with("POST", "/orders", br#"{"amount":"?"}"#)
            .await;
        assert_eq!(response.head.status, 422);
        let stats = settled(server.background(), 2).await;
        assert_eq!((stats.completed, stats.skipped), (1, 1));
        assert_eq!(starts(&timeline), ["extractor-on-error"]);
        let reason = skip_reason(&server.failure("extractor").await);
        assert_eq!(
            reason,
            SkipReason::ErrorResponse(StatusCode::UNPROCESSABLE_ENTITY)
        );

        let response = client
            .fetch_with("POST", "/orders", br#"{"amount":3}"#)
            .await;
        assert_eq!(response.body, "3");
        let stats = settled(server.background(), 5).await;
        assert_eq!((stats.completed, stats.skipped), (3, 2));
    })
    .await;
}

/// The route's expression needs the handler's arguments, so there is nothing to queue without.
///
/// P-STATUS-2
#[tokio::test]
async fn a_routes_tasks_do_not_run_when_an_extractor_rejects() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, routes![order]).await;
    let mut client = Http1::connect(server.address()).await;
    let response = client.fetch_with("POST", "/orders", b"not JSON").await;
    assert_eq!(response.head.status, 400);
    let response = client
        .fetch_with("POST", "/orders", br#"{"amount":7}"#)
        .await;
    assert_eq!(response.body, "7");
    timeline.reached("handler done").await;
    assert_eq!(starts(&timeline), ["route", "handler"]);
}

#[tokio::test]
async fn a_list_goes_on_after_what_was_skipped_for_the_response() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, routes![answers]).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/500").await;
    timeline.reached("response done").await;
    assert!(timeline.find("handler").is_none());
    assert!(
        timeline.find("handler-always").is_some(),
        "skipping is not failing"
    );
}

/// Panics.
#[background_task]
async fn panics_with(message: String, #[state] timeline: Timeline) {
    timeline.mark("panicking");
    panic!("{message}");
}

/// Never ends on its own.
#[background_task(timeout = "20ms")]
async fn takes_too_long(#[state] timeline: Timeline) {
    timeline.mark("long");
    std::future::pending::<()>().await;
}

/// Returns an error.
#[background_task]
async fn returns_an_error(
    address: String,
    #[secret] code: u32,
    #[state] timeline: Timeline,
) -> Result<(), std::io::Error> {
    timeline.mark("failing");
    Err(std::io::Error::other(format!(
        "no such address: {address} ({})",
        code > 0
    )))
}

#[get("/panic", background = [PanicsWith::new("the paper jams"), PanicsWith::new("never")])]
async fn panicking_task() -> &'static str {
    "ok"
}

#[get("/timeout", background = TakesTooLong)]
async fn endless_task() -> &'static str {
    "ok"
}

#[get("/error", background = ReturnsAnError::new("a@b.c", 1234))]
async fn failing_task() -> &'static str {
    "ok"
}

/// P-PANIC-2
#[tokio::test]
async fn a_failing_task_is_invisible_to_the_client_and_its_connection() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![panicking_task, endless_task, failing_task];
        let server = Server::run(setup, &timeline, app).await;
        for protocol in Protocol::ALL {
            let mut client = Client::connect(protocol, server.address()).await;
            for _ in 0..3 {
                for path in ["/panic", "/timeout", "/error"] {
                    let response = client.fetch("GET", path).await;
                    assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
                }
            }
        }
        let stats = settled(server.background(), 24).await;
        assert_eq!((stats.failed, stats.skipped), (18, 6));
    })
    .await;
}

/// P-PANIC-1, P-REPORT-1
#[tokio::test]
async fn a_failure_tells_what_failed_where_and_for_whom() {
    let timeline = Timeline::new();
    let app = routes![panicking_task, endless_task, failing_task];
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    for path in ["/panic", "/timeout", "/error?really"] {
        client.fetch("GET", path).await;
    }
    settled(server.background(), 4).await;

    let panicked = server.failure("outcomes::panics_with").await;
    assert_eq!(panicked.kind(), FailureKind::Panic);
    assert!(panicked.error().to_string().contains("the paper jams"));
    assert_eq!(panicked.skipped().len(), 1);
    assert_eq!(
        panicked.arguments().as_deref(),
        Some(r#"message: "the paper jams""#)
    );

    let late = server.failure("outcomes::takes_too_long").await;
    assert_eq!(late.kind(), FailureKind::Timeout);
    assert!(late.elapsed() >= Duration::from_millis(20));

    let failed = server.failure("outcomes::returns_an_error").await;
    assert_eq!(failed.kind(), FailureKind::Error);
    assert_eq!(failed.error().to_string(), "no such address: a@b.c (true)");
    assert_eq!(
        failed.arguments().as_deref(),
        Some(r#"address: "a@b.c", code: ***"#)
    );
    assert!(failed.task().file().ends_with("outcomes.rs"));
    assert!(failed.task().line() > 1);
    let request = failed.request().expect("it came from a request");
    assert_eq!(
        (request.method().as_str(), request.path()),
        ("GET", "/error")
    );
    assert_eq!((failed.attempt(), failed.will_retry()), (1, false));
}

/// Otherwise a client that does not wait, or asks for what is not there, could fill the log with
/// errors.
#[tokio::test]
async fn what_clients_cause_is_no_error_in_the_log() {
    logs::keep();
    let background = Timeline::new().background().build().unwrap();
    let finds_nothing = async |tasks: BackgroundTasks| {
        tasks.add_task(named("client.asks.in.vain", async {}));
        StatusCode::NOT_FOUND
    };
    let app: Router = Router::new()
        .route("/", routing::get(finds_nothing))
        .layer(background.layer());
    drop(app.oneshot(Request::new(Body::empty())).await.unwrap());
    settled(&background, 1).await;
    let lines = logs::lines_with("task.name=\"client.asks.in.vain\"");
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(
        line.contains("INFO") && line.contains("background task skipped"),
        "{line}"
    );
}

#[background_task]
async fn notes_its_request(mark: String, #[state] timeline: Timeline, #[context] cx: TaskContext) {
    assert!(!cx.is_cancelled());
    let request = cx
        .request()
        .map(|request| format!("{} {}", request.method(), request.path()));
    timeline.mark(format!("{mark}: {request:?}"));
}

#[post("/orders", background = NotesItsRequest::new("route"))]
async fn orders(tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(NotesItsRequest::new("handler"));
    "ok".with_background(NotesItsRequest::new("response"))
}

#[tokio::test]
async fn a_task_knows_the_request_that_queued_it() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, routes![orders]).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("POST", "/orders").await;
    for source in ["route", "handler", "response"] {
        let told = format!("{source}: Some(\"POST /orders\")");
        timeline.reached(&told).await;
    }
    let spawned = server.background().spawn(NotesItsRequest::new("spawned"));
    spawned.await.unwrap();
    timeline.reached("spawned: None").await;
}

#[get("/", background = timeline.task("route"))]
async fn page(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(timeline.task("handler"));
    (timeline.task("response"), "a page")
}

async fn plain_page(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(timeline.task("handler"));
    (timeline.task("response"), "a page")
}

/// P-HEAD-1
#[tokio::test]
async fn head_on_a_get_route_runs_the_tasks_once() {
    on_every_setup(async |setup| {
        for protocol in Protocol::ALL {
            for (app, count) in [
                (routes![page], 3),
                (Router::new().route("/", routing::get(plain_page)), 2),
            ] {
                let timeline = Timeline::new();
                let server = Server::run(setup, &timeline, app).await;
                let mut client = Client::connect(protocol, server.address()).await;
                let response = client.fetch("HEAD", "/").await;
                assert_eq!((response.status, response.body.len()), (200, 0));
                assert_eq!(settled(server.background(), count).await.completed, count);
                let all = ["route", "handler", "response"];
                assert_eq!(starts(&timeline), all[3 - count as usize..]);
            }
        }
    })
    .await;
}

/// Adds a task from a kept list, long after the response.
async fn keeps_its_list(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.task("early"));
    let later = timeline.clone();
    tokio::spawn(async move {
        later.reached("early done").await;
        tasks.add_task(later.task("late"));
        later.reached("late done").await;
        tasks.add_task(later.failing("later"));
        later.reached("later error").await;
        tasks.add_task(later.task("latest"));
    });
    "ok"
}

/// P-LATE-1
#[tokio::test]
async fn a_task_that_is_added_to_a_kept_list_runs_at_once() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(keeps_its_list));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        timeline.reached("latest done").await;
        let stats = settled(server.background(), 4).await;
        assert_eq!((stats.completed, stats.failed), (3, 1));
    })
    .await;
}

async fn task_adds_a_task(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
) -> &'static str {
    let list = tasks.clone();
    let inner = timeline.clone();
    tasks.add_task(named("outer", async move {
        inner.mark("outer");
        list.add_task(inner.task("by-list"));
        after_response(inner.task("by-name")).expect("a task still belongs to its request");
    }));
    tasks.add_task(timeline.task("sibling"));
    "ok"
}

/// P-LATE-2
#[tokio::test]
async fn a_task_may_add_a_task() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(task_adds_a_task));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        assert_eq!(settled(server.background(), 4).await.completed, 4);
        for task in ["outer", "sibling", "by-list", "by-name"] {
            assert_eq!(timeline.count(task), 1, "{task} {setup:?}");
        }
    })
    .await;
}

async fn stream_adds_tasks(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
    let chunks = futures_util::stream::iter(0..3).then(move |n| {
        let (timeline, tasks) = (timeline.clone(), tasks.clone());
        async move {
            if n == 1 {
                tasks.add_task(timeline.task("by-list"));
                after_response(timeline.task("by-name")).expect("a body belongs to its request");
                timeline.reached("go on").await;
            }
            Ok::<_, Infallible>(Bytes::from_static(b"chunk"))
        }
    });
    Body::from_stream(Box::pin(chunks))
}

/// P-LATE-3
#[tokio::test]
async fn a_task_that_a_streaming_body_adds_runs_after_the_stream() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(stream_adds_tasks));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        client.head().await;
        assert_eq!(client.chunk().await.as_deref(), Some(&b"chunk"[..]));
        timeline
            .stays_without("by-list", Duration::from_millis(60))
            .await;
        timeline.mark("go on");
        while client.chunk().await.is_some() {}
        let start = timeline.reached("by-list").await;
        let write = server.last_write(client.end()).await;
        assert!(write.is_before(&start), "{setup:?}");
        timeline.reached("by-name done").await;
        assert_eq!(settled(server.background(), 2).await.completed, 2);
    })
    .await;
}

#[get("/", background = [timeline.task("route"), timeline.task("route-always").always()])]
async fn panics(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Response {
    queue_one_of_each(&timeline, &tasks);
    panic!("the handler panics");
}

async fn plain_panics(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Response {
    queue_one_of_each(&timeline, &tasks);
    panic!("the handler panics");
}

async fn skips_for_panic(server: &Server, skipped: &[&str]) {
    for name in skipped {
        let reason = skip_reason(&server.failure(name).await);
        let expected = [
            SkipReason::HandlerPanicked,
            SkipReason::ErrorResponse(StatusCode::INTERNAL_SERVER_ERROR),
        ];
        assert!(expected.contains(&reason), "{reason:?}");
    }
}

/// P-HANDLER-1
#[tokio::test]
async fn a_handler_that_panics_closes_its_connection_and_its_tasks_are_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![panics].route("/plain", routing::get(plain_panics));
        let server = Server::run(setup, &timeline, app).await;

        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        assert_eq!(client.until_closed().await, "");
        let stats = settled(server.background(), 5).await;
        // Two `always`, and the one for error responses.
        assert_eq!((stats.completed, stats.skipped), (3, 2));
        skips_for_panic(&server, &["route", "handler"]).await;

        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/plain").await;
        assert_eq!(client.until_closed().await, "");
        let stats = settled(server.background(), 8).await;
        assert_eq!((stats.completed, stats.skipped), (5, 3));
    })
    .await;
}

/// P-HANDLER-1
#[tokio::test]
async fn a_handler_that_panics_under_catch_panic_has_its_tasks_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![panics].route("/plain", routing::get(plain_panics));
        let app = app.layer(CatchPanicLayer::new());
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        assert_eq!(client.fetch("GET", "/").await.head.status, 500);
        assert_eq!(client.fetch("GET", "/plain").await.head.status, 500);
        let stats = settled(server.background(), 8).await;
        assert_eq!((stats.completed, stats.skipped), (5, 3));
        skips_for_panic(&server, &["route", "handler"]).await;
    })
    .await;
}

/// Without a layer, nothing looks at what a plain axum handler returns.
///
/// P-UNPICKED-1
#[test]
fn a_task_with_a_response_that_nothing_picks_up_is_logged_and_skipped() {
    in_own_process(
        "a_task_with_a_response_that_nothing_picks_up_is_logged_and_skipped",
        nothing_picks_up,
    );
}

async fn nothing_picks_up() {
    logs::keep();
    async fn lonely(Path(how): Path<String>) -> Response {
        let task = named("lonely.task", async {});
        match how.as_str() {
            "part" => (task, "ok").into_response(),
            _ => "ok".with_background(task),
        }
    }
    let timeline = Timeline::new();
    let serve = |app: Router| {
        let timeline = timeline.clone();
        async move {
            let setup = Setup {
                serving: Serving::PlainAxum,
                ..Setup::DEFAULT
            };
            Server::start(setup, &timeline, || (Background::global(), app)).await
        }
    };
    let server = serve(Router::new().route("/{how}", routing::get(lonely))).await;
    let before = server.background().stats();
    let mut client = Http1::connect(server.address()).await;
    for path in ["/part", "/with"] {
        let response = client.fetch("GET", path).await;
        assert_eq!(
            (response.head.status, &response.body[..]),
            (200, &b"ok"[..])
        );
    }
    tests::eventually("skipped", || {
        server.background().stats().skipped == before.skipped + 2
    })
    .await;
    let lines = logs::lines_with("lonely.task");
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert!(line.contains("ERROR"), "{line}");
        assert!(line.contains("background.layer()"), "{line}");
    }
}

async fn says_whether_tasks_are_collected(tasks: Option<BackgroundTasks>) -> String {
    tasks.is_some().to_string()
}

#[tokio::test]
async fn a_handler_may_do_without_a_list() {
    let background = Timeline::new().background().build().unwrap();
    let app: Router = Router::new().route("/", routing::get(says_whether_tasks_are_collected));
    for (app, expected) in [
        (app.clone(), "false"),
        (app.layer(background.layer()), "true"),
    ] {
        let response = app.oneshot(Request::new(Body::empty())).await.unwrap();
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.unwrap(), expected);
    }
}

/// P-UNPICKED-2
#[tokio::test]
async fn without_a_layer_background_tasks_reject_and_the_log_says_what_to_add() {
    logs::keep();
    async fn lonely(tasks: BackgroundTasks) {
        tasks.add_task(named("never", async {}));
    }
    let timeline = Timeline::new();
    let setup = Setup {
        serving: Serving::PlainAxum,
        ..Setup::DEFAULT
    };
    let app = Router::new().route("/nothing-collects", routing::get(lonely));
    let server = Server::run(setup, &timeline, app).await;
    let mut client = Http1::connect(server.address()).await;
    let response = client.fetch("GET", "/nothing-collects").await;
    assert_eq!(response.head.status, 500);
    let body = String::from_utf8_lossy(&response.body).to_lowercase();
    for private in ["background", "layer", "task", "bg_"] {
        assert!(!body.contains(private), "{body}");
    }
    let lines = logs::lines_with("nothing-collects");
    assert!(
        lines
            .iter()
            .any(|line| line.contains("ERROR") && line.contains("layer("))
    );
}

/// P-AROUND-1
#[tokio::test]
async fn after_response_outside_a_request_gives_the_task_back() {
    let timeline = Timeline::new();
    let refused = after_response(timeline.task("refused")).expect_err("no request here");
    assert!(refused.to_string().contains("outside a request"));
    let background = timeline.background().build().unwrap();
    background.spawn(refused.into_task()).await.unwrap();
    assert_eq!(timeline.count("refused done"), 1);
}

async fn deep_down(timeline: &Timeline) {
    tokio::task::yield_now().await;
    after_response(timeline.task("deep")).expect("in a request");
}

async fn calls_deep_down(State(timeline): State<Timeline>) -> &'static str {
    deep_down(&timeline).await;
    "ok"
}

/// P-AROUND-1
#[tokio::test]
async fn after_response_works_from_any_depth_of_the_handler() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(calls_deep_down));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http2, server.address()).await;
        let end = client.fetch("GET", "/").await.end;
        let start = timeline.reached("deep").await;
        assert!(server.last_write(end).await.is_before(&start));
        assert_eq!(settled(server.background(), 1).await.completed, 1);
    })
    .await;
}

async fn blocks(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    for name in ["one", "two"] {
        let work = timeline.clone();
        tasks.add_task(named_blocking(name, move || {
            work.mark(name);
            std::thread::sleep(Duration::from_millis(20));
            let thread = std::thread::current();
            work.mark(format!("{name} done"));
            assert!(thread.name().is_some_and(|name| name.starts_with("tokio")));
        }));
    }
    let work = timeline.clone();
    tasks.add_task(named_blocking("three", move || {
        work.mark("three");
        Err::<(), _>("not this time")
    }));
    "ok"
}

/// P-SYNC-1
#[tokio::test]
async fn synchronous_tasks_run_in_order_on_the_blocking_pool() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(blocks));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        let stats = settled(server.background(), 3).await;
        assert_eq!((stats.completed, stats.failed), (2, 1));
        // The hook is called after the outcome is counted.
        timeline.reached("three error").await;
        let marks = ["one", "one done", "two", "two done", "three", "three error"];
        assert_eq!(timeline.names(), marks);
    })
    .await;
}

/// P-PANIC-1, P-HANDLE-1
#[tokio::test]
async fn a_handle_gives_the_outcome_of_its_task_and_dropping_it_aborts_nothing() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    background.spawn(timeline.task("well")).await.unwrap();

    let failed = background.spawn(timeline.failing("badly")).await;
    let failed = failed.expect_err("it fails");
    assert_eq!(
        (failed.kind(), failed.task().name()),
        (FailureKind::Error, "badly")
    );
    assert!(failed.request().is_none());

    let panicked = background.spawn(timeline.panicking("worse")).await;
    assert_eq!(panicked.expect_err("it panics").kind(), FailureKind::Panic);

    drop(background.spawn(timeline.task("unheard")));
    timeline.reached("unheard done").await;

    let handle = background.spawn(timeline.waiting("stopped"));
    timeline.reached("stopped").await;
    handle.abort();
    let aborted = tests::within("the end", handle).await;
    assert_eq!(
        aborted.expect_err("it was aborted").kind(),
        FailureKind::Aborted
    );

    let stats = settled(&background, 5).await;
    assert_eq!((stats.completed, stats.failed, stats.aborted), (2, 2, 1));
}

async fn queues_and_panics(tasks: BackgroundTasks) {
    tasks.add_task(named("queued", async {}));
    panic!("after that")
}

#[tokio::test]
async fn a_panic_that_is_caught_further_out_is_still_called_a_panic() {
    let (told, mut reasons) = mpsc::unbounded_channel();
    let background = Background::builder()
        .state(Timeline::new())
        .on_error(move |failure| told.send(skip_reason(failure)).unwrap())
        .build()
        .unwrap();
    let app: Router = Router::new()
        .route("/", routing::get(queues_and_panics))
        .layer(background.layer())
        .layer(CatchPanicLayer::new());
    let request = Request::new(Body::empty());
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reasons.recv().await, Some(SkipReason::HandlerPanicked));
}

/// P-LATE-3
#[tokio::test]
async fn a_task_that_is_added_to_a_list_of_the_response_waits_for_the_body() {
    let background = Background::builder()
        .state(Timeline::new())
        .build()
        .unwrap();
    let (keep, mut kept) = mpsc::unbounded_channel();
    let handler = || async move {
        let list = BackgroundTasks::new();
        keep.send(list.clone()).unwrap();
        (list, "answer")
    };
    let app: Router = Router::new()
        .route("/", routing::get(handler))
        .layer(background.layer());
    let request = Request::new(Body::empty());
    let response = app.oneshot(request).await.unwrap();

    let kept = kept.recv().await.unwrap();
    kept.add_task(named("late", async {}));
    tokio::task::yield_now().await;
    assert_eq!(background.stats().pending, 1, "the body has not been sent");
    drop(response);
    let stats = settled(&background, 1).await;
    assert_eq!(stats.completed, 1);
}
