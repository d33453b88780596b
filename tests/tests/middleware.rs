//! Middleware around and inside of the layer: nothing runs twice, nothing is lost, and no response
//! looks different.

use std::{
    convert::Infallible,
    mem::replace,
    net::SocketAddr,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing,
};
use bg_runtime::{Background, BackgroundTasks, SkipReason, get, routes};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use tests::{
    Client, Flavour, Http1, Http2, Protocol, Server, Serving, Setup, Timeline, eventually, logs,
    on_every_setup,
    tasks::{settled, skip_reason},
};
use tower::{Layer, Service, ServiceExt};
use tower_http::{compression::CompressionLayer, timeout::TimeoutLayer};

/// Longer than any time after which a list runs without having seen a flush.
const A_WHILE: Duration = Duration::from_millis(80);

#[get("/", background = timeline.task("route"))]
async fn page(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(timeline.task("handler"));
    (timeline.task("response"), "a page")
}

async fn plain_page(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> impl IntoResponse {
    tasks.add_task(timeline.task("handler"));
    (timeline.task("response"), "a page")
}

fn starts(timeline: &Timeline) -> Vec<String> {
    let names = timeline.names().into_iter();
    names.filter(|name| !name.ends_with(" done")).collect()
}

/// Serves what `app` makes of a `Background`, under every setup.
async fn with_app(
    app: impl Fn(&Background, &Timeline) -> Router + Clone + Send + 'static,
    test: impl AsyncFn(&Server, &Timeline, Setup),
) {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let (app, given) = (app.clone(), timeline.clone());
        let server = Server::start(setup, &timeline, move || {
            let background = Background::builder().build().expect("nothing to refuse");
            let app = app(&background, &given);
            (background, app)
        })
        .await;
        test(&server, &timeline, setup).await;
    })
    .await;
}

#[tokio::test]
async fn a_layer_that_is_applied_again_changes_nothing() {
    with_app(
        |background, timeline| {
            let inner = Router::new()
                .route("/plain", routing::get(plain_page))
                .merge(routes![page])
                .layer(background.layer())
                .layer(background.layer());
            inner.with_state(timeline.clone()).layer(background.layer())
        },
        async |server, timeline, setup| {
            let mut client = Client::connect(Protocol::Http1, server.address()).await;
            let first = client.fetch("GET", "/").await.end;
            let start = timeline.reached("route").await;
            assert!(
                server.last_write(first).await.is_before(&start),
                "{setup:?}"
            );
            settled(server.background(), 3).await;
            client.fetch("GET", "/plain").await;
            assert_eq!(settled(server.background(), 5).await.completed, 5);
            let all = ["route", "handler", "response", "handler", "response"];
            assert_eq!(starts(timeline), all, "{setup:?}");
        },
    )
    .await;
}

/// Only the outermost layer knows the connection, which shows where there is no byte to follow.
#[tokio::test]
async fn of_several_layers_the_outermost_does_the_work() {
    for flavour in Flavour::ALL {
        let setup = Setup {
            flavour,
            serving: Serving::Background,
        };
        let timeline = Timeline::new();
        let given = timeline.clone();
        let server = Server::start(setup, &timeline, move || {
            let background = Background::builder().build().unwrap();
            let empty = async |State(timeline): State<Timeline>, tasks: BackgroundTasks| {
                tasks.add_task(timeline.task("task"));
                StatusCode::NO_CONTENT
            };
            let app = Router::new()
                .route("/", routing::get(empty))
                .layer(background.layer())
                .with_state(given);
            (background, app)
        })
        .await;
        server.gate().allow(20);
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        eventually("held back", || server.gate().is_holding()).await;
        timeline.stays_without("task", A_WHILE).await;
        server.gate().open();
        assert_eq!(client.response("GET").await.head.status, 204);
        timeline.reached("task done").await;
        assert_eq!(settled(server.background(), 1).await.completed, 1);
    }
}

#[tokio::test]
async fn nested_and_merged_routers_keep_their_tasks() {
    with_app(
        |background, timeline| {
            let inner = routes![page].route("/plain", routing::get(plain_page));
            let layered = inner.clone().layer(background.layer());
            Router::new()
                .nest("/a", inner.clone())
                .nest("/b", Router::new().nest("/c", layered))
                .fallback_service(inner.with_state(timeline.clone()))
                .with_state(timeline.clone())
        },
        async |server, timeline, setup| {
            let mut client = Client::connect(Protocol::Http1, server.address()).await;
            let mut tasks = 0;
            for path in ["/a", "/b/c", "/"] {
                assert_eq!(client.fetch("GET", path).await.status, 200, "{path}");
                tasks += 3;
                settled(server.background(), tasks).await;
            }
            for path in ["/a/plain", "/b/c/plain", "/plain"] {
                assert_eq!(client.fetch("GET", path).await.status, 200, "{path}");
                tasks += 2;
                settled(server.background(), tasks).await;
            }
            for (task, times) in [("route", 3), ("handler", 6), ("response", 6)] {
                assert_eq!(timeline.count(task), times, "{task} {setup:?}");
            }
        },
    )
    .await;
}

async fn compressible(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Response {
    tasks.add_task(timeline.task("handler"));
    // Does not compress well, so that the compressed bytes leave in several pieces.
    let chunks = futures_util::stream::iter(1..=10_u64).then(async |n| {
        tokio::task::yield_now().await;
        let letters = (0..4000).map(|i: u64| b'a' + (i * i * n % 251 % 26) as u8);
        Ok::<_, Infallible>(letters.collect::<Bytes>())
    });
    let plain = [(header::CONTENT_TYPE, "text/plain")];
    (plain, Body::from_stream(Box::pin(chunks))).into_response()
}

async fn compressed(server: &Server) -> Http1 {
    let mut client = Http1::connect(server.address()).await;
    client
        .send("GET / HTTP/1.1\r\nhost: tests\r\naccept-encoding: gzip\r\n\r\n")
        .await;
    client
}

async fn runs_after_a_compressed_body(server: &Server, timeline: &Timeline, setup: Setup) {
    for request in 1..=5 {
        let mut client = compressed(server).await;
        let response = client.response("GET").await;
        assert_eq!(response.head.header("content-encoding"), Some("gzip"));
        timeline.reached_times("handler done", request).await;
        if request == 1 {
            let start = timeline.reached("handler").await;
            let write = server.last_write(response.end).await;
            assert!(write.is_before(&start), "{setup:?}");
        }
    }
    assert_eq!(settled(server.background(), 5).await.completed, 5);
}

/// The layer is outside, as documented: the bytes that are followed are the compressed ones.
///
/// P-MIDDLEWARE-2
#[tokio::test]
async fn compression_inside_of_the_layer_keeps_the_order() {
    with_app(
        |_, timeline| {
            Router::new()
                .route("/", routing::get(compressible))
                .layer(CompressionLayer::new())
                .with_state(timeline.clone())
        },
        runs_after_a_compressed_body,
    )
    .await;
}

/// The layer is inside. `Background::serve` puts another one outside, so the order holds there.
///
/// P-MIDDLEWARE-2
#[tokio::test]
async fn compression_outside_of_the_layer_loses_no_task() {
    for flavour in Flavour::ALL {
        for serving in [Serving::Background, Serving::PlainAxum] {
            let setup = Setup { flavour, serving };
            let timeline = Timeline::new();
            let given = timeline.clone();
            let server = Server::start(setup, &timeline, move || {
                let background = Background::builder().build().unwrap();
                let app = Router::new()
                    .route("/", routing::get(compressible))
                    .layer(background.layer())
                    .layer(CompressionLayer::new())
                    .with_state(given);
                (background, app)
            })
            .await;
            if serving == Serving::Background {
                // Compressed, and held back: the bytes that the inner layer saw are gone.
                server.gate().allow(20);
                let mut client = compressed(&server).await;
                eventually("held back", || server.gate().is_holding()).await;
                timeline.stays_without("handler", A_WHILE).await;
                server.gate().open();
                let response = client.response("GET").await;
                let start = timeline.reached("handler").await;
                let write = server.last_write(response.end).await;
                assert!(write.is_before(&start), "{setup:?}");
            } else {
                let mut client = compressed(&server).await;
                client.response("GET").await;
                assert_eq!(settled(server.background(), 1).await.completed, 1);
            }
        }
    }
}

struct DropMark(Timeline);

impl Drop for DropMark {
    fn drop(&mut self) {
        self.0.mark("handler gone");
    }
}

#[get("/attribute", background = timeline.task("route"))]
async fn never_answers(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    let _gone = DropMark(timeline.clone());
    tasks.add_task(timeline.task("handler"));
    std::future::pending::<()>().await;
}

async fn plain_never_answers(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    let _gone = DropMark(timeline.clone());
    tasks.add_task(timeline.task("handler"));
    std::future::pending::<()>().await;
}

/// P-HANDLER-2
#[tokio::test]
async fn a_timeout_drops_the_handler_and_what_it_queued_is_skipped_and_reported() {
    on_every_setup(async |setup| {
        for (path, count) in [("/attribute", 2), ("/plain", 1)] {
            let timeline = Timeline::new();
            let limit = Duration::from_millis(30);
            let app = routes![never_answers]
                .route("/plain", routing::get(plain_never_answers))
                .layer(TimeoutLayer::with_status_code(
                    StatusCode::REQUEST_TIMEOUT,
                    limit,
                ));
            let server = Server::run(setup, &timeline, app).await;
            let mut client = Http1::connect(server.address()).await;
            assert_eq!(client.fetch("GET", path).await.head.status, 408);
            timeline.reached("handler gone").await;
            let stats = settled(server.background(), count).await;
            assert_eq!(stats.skipped, count, "{setup:?}");
            let reason = skip_reason(&server.failure("handler").await);
            let expected = [
                SkipReason::HandlerCancelled,
                SkipReason::ErrorResponse(StatusCode::REQUEST_TIMEOUT),
            ];
            assert!(expected.contains(&reason), "{reason:?}");
        }
    })
    .await;
}

async fn answer_anew(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    (status, "another body").into_response()
}

/// A task that came with the response is lost with it, and reported; what the request queued is not
/// lost.
///
/// P-MIDDLEWARE-1
#[tokio::test]
async fn a_middleware_that_builds_a_new_response_loses_no_task_of_the_request() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![page]
            .route("/plain", routing::get(plain_page))
            .layer(middleware::from_fn(answer_anew));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;

        // The attribute is inside of the middleware, and has picked everything up.
        assert_eq!(client.fetch("GET", "/").await.body, "another body");
        let stats = settled(server.background(), 3).await;
        assert_eq!(stats.completed, 3, "{setup:?}");

        assert_eq!(client.fetch("GET", "/plain").await.body, "another body");
        let stats = settled(server.background(), 5).await;
        assert_eq!((stats.completed, stats.skipped), (4, 1), "{setup:?}");
        let reason = skip_reason(&server.failure("response").await);
        assert_eq!(reason, SkipReason::ResponseNotPickedUp);
    })
    .await;
}

async fn buffer_body(request: Request, next: Next) -> Response {
    let (parts, body) = next.run(request).await.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .expect("a body");
    Response::from_parts(parts, Body::from(bytes))
}

/// P-MIDDLEWARE-2
#[tokio::test]
async fn a_middleware_that_buffers_the_body_loses_no_task() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![page].layer(middleware::from_fn(buffer_body));
        let server = Server::run(setup, &timeline, app).await;
        for protocol in Protocol::ALL {
            let mut client = Client::connect(protocol, server.address()).await;
            assert_eq!(client.fetch("GET", "/").await.body, "a page");
        }
        assert_eq!(settled(server.background(), 6).await.completed, 6);
    })
    .await;
}

async fn add_from_middleware(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
    request: Request,
    next: Next,
) -> Response {
    tasks.add_task(timeline.task("before"));
    let response = next.run(request).await;
    tasks.add_task(timeline.task("after"));
    response
}

/// P-SOURCES-2
#[tokio::test]
async fn middleware_and_handler_share_the_list_of_the_request() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let add = middleware::from_fn_with_state(timeline.clone(), add_from_middleware);
        let app = routes![page].layer(add);
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        assert_eq!(settled(server.background(), 5).await.completed, 5);
        let all = ["route", "before", "handler", "after", "response"];
        assert_eq!(starts(&timeline), all, "{setup:?}");
    })
    .await;
}

/// Bodies of every sort, each with a task when the request asks for one.
fn bodies() -> Router<Timeline> {
    async fn queue(State(timeline): State<Timeline>, request: Request, next: Next) -> Response {
        if request.uri().query() == Some("task") {
            bg_runtime::after_response(timeline.task("task")).expect("in a request");
        }
        next.run(request).await
    }
    async fn sized() -> impl IntoResponse {
        ([("x-one", "1"), ("x-two", "2")], vec![b'.'; 5000])
    }
    async fn chunked() -> Body {
        let chunks = futures_util::stream::iter(["one", "two", "three"]);
        Body::from_stream(chunks.map(Ok::<_, Infallible>))
    }
    async fn declared() -> impl IntoResponse {
        let chunks = futures_util::stream::iter(["one", "two"]).map(Ok::<_, Infallible>);
        ([(header::CONTENT_LENGTH, "6")], Body::from_stream(chunks))
    }
    async fn redirect() -> impl IntoResponse {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "/sized")])
    }
    Router::new()
        .route("/sized", routing::get(sized))
        .route("/chunked", routing::get(chunked))
        .route("/declared", routing::get(declared))
        .route("/empty", routing::get(async || ()))
        .route("/no-content", routing::get(async || StatusCode::NO_CONTENT))
        .route(
            "/not-modified",
            routing::get(async || StatusCode::NOT_MODIFIED),
        )
        .route("/redirect", routing::get(redirect))
        .route(
            "/page",
            routing::get(async || "a page").layer(middleware::map_response(no_op)),
        )
        .layer(middleware::from_fn_with_state(Timeline::new(), queue))
}

async fn no_op(response: Response) -> Response {
    response
}

async fn plain(app: Router) -> Server {
    let setup = Setup {
        serving: Serving::PlainAxum,
        ..Setup::DEFAULT
    };
    let background = || Background::builder().build().unwrap();
    Server::start(setup, &Timeline::new(), move || (background(), app)).await
}

/// P-MIDDLEWARE-3
#[tokio::test]
async fn heads_and_bodies_are_byte_for_byte_those_of_plain_axum() {
    let reference = plain(bodies().with_state(Timeline::new())).await;
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, bodies()).await;
        let mut expected = Http1::connect(reference.address()).await;
        let mut actual = Http1::connect(server.address()).await;
        for path in [
            "sized",
            "chunked",
            "declared",
            "empty",
            "no-content",
            "not-modified",
            "redirect",
            "page",
            "none",
        ] {
            for query in ["", "?task"] {
                for method in ["GET", "HEAD", "OPTIONS"] {
                    let what = format!("{method} {path}{query} {setup:?}");
                    let expected = expected.fetch(method, &format!("/{path}")).await;
                    let actual = actual.fetch(method, &format!("/{path}{query}")).await;
                    assert_eq!(
                        actual.head.without_date(),
                        expected.head.without_date(),
                        "{what}"
                    );
                    assert_eq!(actual.body, expected.body, "{what}");
                }
            }
        }
    })
    .await;
}

/// P-MIDDLEWARE-3
#[tokio::test]
async fn http2_headers_and_bodies_are_those_of_plain_axum() {
    let reference = plain(bodies().with_state(Timeline::new())).await;
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, bodies()).await;
        let mut expected = Http2::connect(reference.address()).await;
        let mut actual = Http2::connect(server.address()).await;
        for path in [
            "sized",
            "chunked",
            "declared",
            "empty",
            "no-content",
            "not-modified",
            "page",
        ] {
            for method in ["GET", "HEAD"] {
                let mut expected = expected.fetch(method, &format!("/{path}")).await;
                let mut actual = actual.fetch(method, &format!("/{path}?task")).await;
                expected.headers.remove("date");
                actual.headers.remove("date");
                assert_eq!(actual.status, expected.status);
                assert_eq!(
                    actual.headers, expected.headers,
                    "{method} {path} {setup:?}"
                );
                assert_eq!(actual.body, expected.body);
            }
        }
    })
    .await;
}

async fn with_trailers(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Response {
    tasks.add_task(timeline.task("task"));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", HeaderValue::from_static("42"));
    let frames = [
        Frame::data(Bytes::from_static(b"body")),
        Frame::trailers(trailers),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    let body = Body::new(StreamBody::new(frames));
    ([(header::TRAILER, "x-checksum")], body).into_response()
}

/// P-MIDDLEWARE-3
#[tokio::test]
async fn trailers_pass_through_the_layer() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(with_trailers));
        let server = Server::run(setup, &timeline, app).await;

        let mut client = Http2::connect(server.address()).await;
        let (end, response) = client.start("GET", "/");
        let body = response.await.unwrap().into_body();
        let body = http_body_util::BodyExt::collect(body).await.unwrap();
        assert_eq!(body.trailers().unwrap()["x-checksum"], "42");
        assert_eq!(body.to_bytes(), "body");
        let start = timeline.reached("task").await;
        assert!(server.last_write(end).await.is_before(&start), "{setup:?}");

        let mut client = Http1::connect(server.address()).await;
        client
            .send("GET / HTTP/1.1\r\nhost: tests\r\nte: trailers\r\n\r\n")
            .await;
        client.head().await;
        let rest = b"4\r\nbody\r\n0\r\nx-checksum: 42\r\n\r\n";
        assert_eq!(client.exactly(rest.len()).await, &rest[..]);
        timeline.reached_times("task done", 2).await;
    })
    .await;
}

#[tokio::test]
async fn the_address_of_the_client_is_there_without_a_make_service() {
    async fn address(ConnectInfo(address): ConnectInfo<SocketAddr>) -> String {
        address.to_string()
    }
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(address));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Http1::connect(server.address()).await;
    let expected = client.address().to_string();
    assert_eq!(client.fetch("GET", "/").await.body, expected);
}

#[tokio::test]
async fn a_layer_inside_that_of_another_background_says_that_it_does_nothing() {
    logs::keep();
    let timeline = Timeline::new();
    let (outer, inner) = (timeline.background().build(), timeline.background().build());
    let (outer, inner) = (outer.unwrap(), inner.unwrap());
    let app = Router::new()
        .route("/", routing::get(plain_page))
        .with_state(timeline.clone())
        .layer(inner.layer())
        .layer(outer.layer());
    for _ in 0..2 {
        let request = Request::new(Body::empty());
        drop(app.clone().oneshot(request).await.unwrap());
    }
    assert_eq!(settled(&outer, 4).await.completed, 4);
    assert_eq!(inner.stats().accepted, 0);
    let warnings = logs::lines_with("a `background.layer()` does nothing");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

/// A service may be called only when it has said that it is ready.
#[derive(Clone)]
struct Reserved {
    app: Router,
    is_ready: bool,
}

impl Service<Request> for Reserved {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Service::<Request>::poll_ready(&mut self.app, cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        assert!(
            replace(&mut self.is_ready, false),
            "called before it was ready"
        );
        self.app.call(request)
    }
}

#[tokio::test]
async fn a_service_is_asked_whether_it_is_ready_before_it_is_called() {
    let timeline = Timeline::new();
    let background = Background::builder().build().unwrap();
    let app = Reserved {
        app: routes![page].with_state(timeline.clone()),
        is_ready: false,
    };
    let layered = background.layer().layer(app.clone());
    drop(layered.oneshot(Request::new(Body::empty())).await.unwrap());
    settled(&background, 3).await;

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(background.serve(listener, app).into_future());
    let mut client = Client::connect(Protocol::Http1, address).await;
    assert_eq!(client.fetch("GET", "/").await.body, "a page");
    settled(&background, 6).await;
    served.abort();
}
