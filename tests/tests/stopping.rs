//! The moment at which a shutdown begins, as tasks, streams and sockets see it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::{Router, extract::State, routing};
use bg_runtime::{
    Background, BackgroundTasks, Stopping, TaskContext, background_task, get, named, routes,
};
use futures_util::{FutureExt, StreamExt};
use tests::{
    Http1, Protocol, Served, Server, Serving, Setup, Timeline, eventually, on_every_setup, within,
};
use tokio::net::TcpListener;

/// Ends when the shutdown begins.
#[background_task]
async fn listens(#[context] cx: TaskContext, #[state] timeline: Timeline) {
    assert!(!cx.is_stopping());
    timeline.mark("listens");
    cx.stopping().await;
    assert!(cx.is_stopping() && !cx.is_cancelled());
    timeline.mark("listens done");
}

/// Loops until the shutdown begins.
#[background_task]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a task owns what it is given"
)]
fn listens_blocking(#[context] cx: TaskContext, #[state] timeline: Timeline) {
    timeline.mark("listens-blocking");
    while !cx.is_stopping() {
        std::thread::sleep(Duration::from_millis(1));
    }
    timeline.mark("listens-blocking done");
}

#[get("/", background = [Listens, ListensBlocking])]
async fn index() {}

/// P-STOPPING-1
#[tokio::test]
async fn a_task_that_waits_for_the_shutdown_ends_when_it_begins() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![index]).await;
        let background = server.background().clone();
        let outside = tokio::spawn(async move { background.stopping().await });
        let background = server.background().clone();
        background.spawn(Listens);
        background.spawn(ListensBlocking);
        timeline.reached("listens").await;
        timeline.reached("listens-blocking").await;
        assert!(!outside.is_finished());
        let report = server.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats().completed, 2);
        within("stopping", outside).await.unwrap();
    })
    .await;
}

/// P-STOPPING-1
#[tokio::test]
async fn a_call_of_shutdown_begins_it_at_once() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    background.spawn(Listens);
    timeline.reached("listens").await;
    assert!(background.stopping().now_or_never().is_none());
    let report = within("a shutdown", background.shutdown()).await;
    assert!(report.is_clean() && report.elapsed() < Duration::from_secs(10));
    within("stopping", background.stopping()).await;
}

/// A stream without an end of its own, which ends on `stopping`.
#[get("/ticks")]
async fn ticks(
    State(timeline): State<Timeline>,
    stopping: Stopping,
    tasks: BackgroundTasks,
) -> Body {
    tasks.add_task(timeline.task("after the stream"));
    // With the first chunk: a stream that is told to stop before that has none.
    let first = futures_util::stream::once(async move {
        timeline.mark("streaming");
        Ok::<_, io::Error>("first")
    });
    let stream = first.chain(futures_util::stream::pending());
    Body::from_stream(stream.take_until(stopping))
}

/// P-STOPPING-2
#[tokio::test]
async fn a_stream_that_ends_on_stopping_holds_nothing_up_and_its_task_runs() {
    for protocol in Protocol::ALL {
        let setup = Setup::DEFAULT;
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![ticks]).await;
        let address = server.address();
        let client = tokio::spawn(async move {
            let mut client = tests::Client::connect(protocol, address).await;
            client.fetch("GET", "/ticks").await
        });
        timeline.reached("streaming").await;
        let report = server.stop().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats().completed, 1, "{report}");
        assert!(timeline.find("after the stream done").is_some());
        let response = within("the stream's end", client).await.unwrap();
        assert_eq!(response.body, "first");
    }
}

/// P-STOPPING-2
#[tokio::test]
async fn of_two_servers_each_ends_its_own_streams() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app = || routes![ticks].with_state(timeline.clone());
    let public = Served::begin(&background, app()).await;
    let admin = Served::begin(&background, app()).await;
    let mut clients = [
        Http1::connect(public.address).await,
        Http1::connect(admin.address).await,
    ];
    for client in &mut clients {
        client.start("GET", "/ticks").await;
        let head = client.head().await;
        assert_eq!(head.status, 200);
        assert_eq!(client.chunk().await.as_deref(), Some(&b"first"[..]));
    }
    let [mut of_public, mut of_admin] = clients;
    let report = public.stop().await;
    assert_eq!(of_public.chunk().await, None, "the stream's end");
    timeline.reached("after the stream done").await;
    assert!(report.is_clean(), "{report}");
    assert!(of_admin.chunk().now_or_never().is_none(), "it ended early");
    assert!(background.stopping().now_or_never().is_none());
    let report = admin.stop().await;
    assert_eq!(of_admin.chunk().await, None, "the stream's end");
    assert_eq!(report.stats().completed, 2);
}

/// P-STOPPING-3
#[tokio::test]
async fn under_another_server_a_stream_ends_when_shutdown_is_called() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app: Router = routes![ticks].with_state(timeline.clone());
    let app = app.layer(background.layer());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Http1::connect(listener.local_addr().unwrap()).await;
    let server = tokio::spawn(axum::serve(listener, app).into_future());
    client.start("GET", "/ticks").await;
    timeline.reached("streaming").await;
    let report = within("a shutdown", background.shutdown()).await;
    assert_eq!(client.response("GET").await.body, "first");
    assert_eq!(report.stats().completed, 1, "{report}");
    server.abort();
}

/// Also for a response that began before another server took over.
///
/// P-STOPPING-3
#[tokio::test]
async fn a_shutdown_ends_the_streams_of_a_server_that_was_dropped() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app: Router = routes![ticks].with_state(timeline.clone());
    let server = Served::begin(&background, app).await;
    let mut client = Http1::connect(server.address).await;
    client.start("GET", "/ticks").await;
    timeline.reached("streaming").await;
    server.end.abort();
    let report = within("a shutdown", background.shutdown()).await;
    assert_eq!(client.response("GET").await.body, "first");
    assert_eq!(report.stats().completed, 1, "{report}");
}

/// P-STOPPING-4
#[tokio::test]
async fn a_request_that_middleware_made_knows_when_it_is_to_stop() {
    async fn passes_on_its_own(request: Request, next: Next) -> Response {
        let uri = request.uri().clone();
        let own = Request::builder().uri(uri).body(Body::empty());
        next.run(own.unwrap()).await
    }
    async fn is_stopping(stopping: Stopping) -> String {
        stopping.is_stopping().to_string()
    }
    let background = Timeline::new().background().build().unwrap();
    let app = Router::new().route("/", routing::get(is_stopping));
    let app = app.layer(from_fn(passes_on_its_own));
    let server = Served::begin(&background, app).await;
    let mut client = Http1::connect(server.address).await;
    assert_eq!(client.fetch("GET", "/").await.body, "false");
    server.stop().await;
}

/// P-STOPPING-4
#[tokio::test]
async fn stopping_is_rejected_where_nothing_collects_the_tasks() {
    async fn takes_it(_: Stopping) {}
    async fn may_take_it(stopping: Option<Stopping>) -> String {
        stopping.is_some().to_string()
    }
    let timeline = Timeline::new();
    let app = Router::new()
        .route("/", routing::get(takes_it))
        .route("/optional", routing::get(may_take_it));
    let plain = Setup {
        serving: Serving::PlainAxum,
        ..Setup::DEFAULT
    };
    for (setup, status, optional) in [(plain, 500, "false"), (Setup::DEFAULT, 200, "true")] {
        let server = Server::run(setup, &timeline, app.clone().with_state(())).await;
        let mut client = Http1::connect(server.address()).await;
        let response = client.fetch("GET", "/").await;
        assert_eq!(response.head.status, status);
        if status == 500 {
            assert_eq!(response.body, "internal server error");
        }
        assert_eq!(client.fetch("GET", "/optional").await.body, optional);
        drop(client);
        server.stop().await;
    }
}

/// P-STOPPING-4
#[tokio::test]
async fn clones_of_stopping_complete_together_and_again() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let (kept, mut keeps) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |stopping: Stopping| {
        kept.send(stopping).unwrap();
        async {}
    };
    let app = Router::new().route("/", routing::get(handler));
    let server = Served::begin(&background, app).await;
    Http1::connect(server.address).await.fetch("GET", "/").await;
    let mut stopping: Stopping = keeps.recv().await.unwrap();
    let clone = stopping.clone();
    let mut waiting = pin!(clone.stopped());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert!(futures_util::poll!(&mut stopping).is_pending());
    assert!(!stopping.is_stopping());
    server.stop().await;
    assert!(stopping.is_stopping());
    within("the clone", waiting).await;
    within("the one that was polled", &mut stopping).await;
    within("the same again", &mut stopping).await;
    within("the same once more", stopping).await;
}

/// A socket's own task, in a `Background`.
async fn socket(
    State((background, timeline)): State<(Background, Timeline)>,
    stopping: Stopping,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.on_upgrade(async move |mut socket| {
        let talk = async move {
            timeline.mark("talking");
            stopping.stopped().await;
            socket.send(Message::Text("bye".into())).await.unwrap();
            timeline.mark("said");
            timeline.reached("saved").await;
        };
        // The handle is not needed: `on_upgrade` itself is waited for by nothing.
        background.spawn(named("socket", talk));
    })
}

/// P-STOPPING-5
#[tokio::test]
async fn a_socket_whose_work_is_spawned_is_drained() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app = Router::new()
        .route("/socket", routing::get(socket))
        .with_state((background.clone(), timeline.clone()));
    let mut server = Served::begin(&background, app).await;
    let mut client = Http1::connect(server.address).await;
    let upgrade = "GET /socket HTTP/1.1\r\nhost: tests\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send(upgrade).await;
    assert_eq!(client.head().await.status, 101);
    timeline.reached("talking").await;
    server.begin_stop();
    // An unmasked text frame of three bytes.
    let said: Bytes = client.exactly(5).await;
    assert_eq!(said, b"\x81\x03bye"[..]);
    timeline.reached("said").await;
    assert!(!server.end.is_finished(), "the server did not wait for it");
    timeline.mark("saved");
    let report = within("the end", server.end).await.unwrap().unwrap();
    assert_eq!(report.stats().completed, 1, "{report}");
    eventually("closed", || {
        std::net::TcpStream::connect(server.address).is_err()
    })
    .await;
}
