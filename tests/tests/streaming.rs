//! Responses that go on: server-sent events, web sockets, and the connections they live on.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::Request,
    response::{IntoResponse, Response, Sse, sse::Event},
    routing,
};
use bg_runtime::{Background, BackgroundTasks, WithBackground, after_response, get, named, routes};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use tests::{
    Client, Flavour, Http1, Http2, Protocol, Server, Setup, Timeline, eventually, on_every_setup,
    stalls::{Burst, none_is_stalled},
    tasks::settled,
};
use tower::ServiceExt;

fn events(timeline: Timeline) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::iter(1..=3).then(move |n| {
        let timeline = timeline.clone();
        async move {
            if n > 1 {
                timeline.reached(&format!("event {n}")).await;
            }
            Ok(Event::default().data(n.to_string()))
        }
    })
}

#[get("/", background = timeline.task("route"))]
async fn sse(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Response {
    tasks.add_task(timeline.task("handler"));
    Sse::new(events(timeline)).into_response()
}

#[tokio::test]
async fn events_arrive_one_by_one_and_the_tasks_run_when_the_stream_ends() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![sse]).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        assert_eq!(
            client.head().await.header("content-type"),
            Some("text/event-stream")
        );
        for n in 1..=3 {
            // The next event is made only after this one was read: no frame waits for another.
            let event = client.chunk().await.unwrap();
            assert_eq!(event, format!("data: {n}\n\n"));
            if n < 3 {
                assert!(timeline.find("route").is_none(), "{setup:?}");
            }
            timeline.mark(format!("event {}", n + 1));
        }
        assert_eq!(client.chunk().await, None);
        let start = timeline.reached("route").await;
        assert!(server.last_write(client.end()).await.is_before(&start));
        assert_eq!(settled(server.background(), 2).await.completed, 2);
    })
    .await;
}

#[tokio::test]
async fn events_arrive_one_by_one_over_http2() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![sse]).await;
        let mut client = Http2::connect(server.address()).await;
        let (end, response) = client.start("GET", "/");
        let mut body = response.await.unwrap().into_body();
        for n in 1..=3 {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), format!("data: {n}\n\n"));
            timeline.mark(format!("event {}", n + 1));
        }
        // The end may come as a frame without data.
        assert_eq!(body.collect().await.unwrap().to_bytes(), "");
        let start = timeline.reached("route").await;
        assert!(server.last_write(end).await.is_before(&start), "{setup:?}");
    })
    .await;
}

#[tokio::test]
async fn the_tasks_of_an_endless_stream_run_when_the_client_leaves() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![sse]).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        client.head().await;
        client.chunk().await.unwrap();
        client.leave();
        timeline.reached("handler done").await;
        assert_eq!(settled(server.background(), 2).await.completed, 2);
    })
    .await;
}

#[get("/", background = timeline.task("route"))]
async fn upgrade(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
    upgrade: WebSocketUpgrade,
) -> Response {
    tasks.add_task(timeline.task("handler"));
    upgrade.on_upgrade(move |socket| talk(socket, timeline, tasks))
}

/// Echoes; `add` adds a task to the list of the request that became this socket.
async fn talk(mut socket: WebSocket, timeline: Timeline, tasks: BackgroundTasks) {
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(text) = message else { break };
        if text == "add" {
            tasks.add_task(timeline.task("from-socket"));
        }
        if socket.send(Message::Text(text)).await.is_err() {
            break;
        }
    }
    timeline.mark("socket closed");
}

/// A masked text frame, as a client sends it. The mask is zero.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let head = [0x81, 0x80 | length, 0, 0, 0, 0];
    [&head[..], text.as_bytes()].concat()
}

async fn shake_hands(client: &mut Http1) {
    client
        .send(
            "GET / HTTP/1.1\r\nhost: tests\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert_eq!(head.status, 101);
    // The answer to this key in RFC 6455.
    let accept = head.header("sec-websocket-accept");
    assert_eq!(accept, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

#[tokio::test]
async fn the_tasks_of_a_websocket_run_after_the_handshake_while_it_is_open() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![upgrade]).await;
        let mut client = Http1::connect(server.address()).await;
        shake_hands(&mut client).await;
        let start = timeline.reached("route").await;
        assert!(
            server.last_write(client.end()).await.is_before(&start),
            "{setup:?}"
        );
        timeline.reached("handler done").await;

        client.send(frame("hello")).await;
        assert_eq!(client.exactly(7).await, &b"\x81\x05hello"[..]);
        client.send(frame("add")).await;
        timeline.reached("from-socket done").await;
        assert!(timeline.find("socket closed").is_none());
        client.leave();
        timeline.reached("socket closed").await;
        assert_eq!(settled(server.background(), 3).await.completed, 3);
    })
    .await;
}

async fn with_slow_task(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.waiting("slow"));
    "ok"
}

/// P-KEEP-1
#[tokio::test]
async fn the_next_request_of_a_connection_does_not_wait_for_a_task() {
    on_every_setup(async |setup| {
        for protocol in Protocol::ALL {
            let timeline = Timeline::new();
            let app = Router::new()
                .route("/slow", routing::get(with_slow_task))
                .route("/", routing::get(async || "quick"));
            let server = Server::run(setup, &timeline, app).await;
            let mut client = Client::connect(protocol, server.address()).await;
            client.fetch("GET", "/slow").await;
            timeline.reached("slow").await;
            for _ in 0..5 {
                assert_eq!(client.fetch("GET", "/").await.body, "quick");
            }
            assert!(timeline.find("slow done").is_none());
            timeline.mark("slow may end");
            assert_eq!(settled(server.background(), 1).await.completed, 1);
        }
    })
    .await;
}

const BURST: Duration = Duration::from_millis(150);

/// P-KEEP-1
#[tokio::test]
async fn a_task_that_blocks_its_thread_stalls_nothing_if_another_one_is_free() {
    let workers = [Flavour::Workers(2), Flavour::Workers(4)];
    let setups = Setup::all().filter(|setup| workers.contains(&setup.flavour));
    none_is_stalled(setups, |builder| builder, (Burst::Async, BURST), 20).await;
}

/// P-KEEP-1
#[tokio::test]
async fn a_synchronous_task_stalls_nothing_on_any_runtime() {
    none_is_stalled(Setup::all(), |builder| builder, (Burst::Sync, BURST), 5).await;
}

async fn adds_by_name(State(timeline): State<Timeline>) -> Response {
    let chunks = stream::iter(0..5).map(move |n| {
        after_response(timeline.task(["1", "2", "3", "4", "5"][n])).expect("in a body");
        Ok::<_, Infallible>("chunk")
    });
    Body::from_stream(chunks).into_response()
}

/// P-LATE-3
#[tokio::test]
async fn a_body_that_adds_the_first_task_while_it_is_sent_is_waited_for() {
    on_every_setup(async |setup| {
        for protocol in Protocol::ALL {
            let timeline = Timeline::new();
            let app = Router::new().route("/", routing::get(adds_by_name));
            let server = Server::run(setup, &timeline, app).await;
            let mut client = Client::connect(protocol, server.address()).await;
            let response = client.fetch("GET", "/").await;
            assert_eq!(response.body.len(), 25);
            eventually("all ran", || server.background().stats().completed == 5).await;
            let write = server.last_write(response.end).await;
            let first = timeline.find("1").unwrap();
            assert!(write.is_before(&first), "{protocol:?} {setup:?}");
        }
    })
    .await;
}

/// An end of the body counts as sent, whichever it is.
#[tokio::test]
async fn the_tasks_of_a_response_run_when_its_body_fails_half_way() {
    let background = Background::builder().build().unwrap();
    let handler = async || {
        let chunks = [Ok("half"), Err("and no more")];
        let body = Body::from_stream(stream::iter(chunks));
        body.with_background(named("task", async {}))
    };
    let app = Router::new()
        .route("/", routing::get(handler))
        .layer(background.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap_err();
    eventually("the task has run", || background.stats().completed == 1).await;
}
