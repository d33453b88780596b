//! The harness itself: it sees an early start where the library does not prevent one.

use axum::{
    Router,
    body::Body,
    http::HeaderMap,
    routing::{get, post},
};
use bg_runtime::Background;
use bytes::Bytes;
use futures_util::StreamExt;
use std::io::ErrorKind;
use tests::{
    Client, Http1, Http2, Protocol, Server, Serving, Setup, Timeline, eventually,
    flavours::Flavour,
    http2_frames::{PREFACE, SETTINGS, frame},
    recorded_io::ResponseEnd,
    within,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

const PLAIN: Setup = Setup {
    flavour: Flavour::Workers(2),
    serving: Serving::PlainAxum,
};

fn background() -> Background {
    Background::builder().build().expect("nothing to refuse")
}

fn spawning_app(timeline: &Timeline) -> (Background, Router) {
    let timeline = timeline.clone();
    let spawning = get(move || async move {
        tokio::spawn(timeline.work("task"));
        vec![b'.'; 100_000]
    });
    (background(), Router::new().route("/", spawning))
}

#[tokio::test]
async fn a_task_that_is_spawned_in_the_handler_is_seen_to_start_early() {
    for protocol in Protocol::ALL {
        let timeline = Timeline::new();
        let server = Server::start(PLAIN, &timeline, {
            let timeline = timeline.clone();
            move || spawning_app(&timeline)
        })
        .await;
        server.gate().allow(10_000);
        let mut client = Client::connect(protocol, server.address()).await;
        let fetched = tokio::spawn(async move { client.fetch("GET", "/").await });
        let start = timeline.reached("task").await;
        server.gate().open();
        let response = within("a response", fetched).await.unwrap();
        assert_eq!(response.body.len(), 100_000, "{protocol:?}");
        assert!(start.is_before(&server.last_write(response.end).await));
    }
}

#[tokio::test]
async fn each_response_has_a_last_write_of_its_own() {
    for protocol in Protocol::ALL {
        let timeline = Timeline::new();
        let server = Server::start(PLAIN, &timeline, || {
            let chunks = || async {
                let chunks = futures_util::stream::iter(["a", "b", "c"]);
                Body::from_stream(chunks.map(Ok::<_, std::io::Error>))
            };
            let app = Router::new()
                .route("/small", get(|| async { "small" }))
                .route("/none", get(|| async {}))
                .route("/chunks", get(chunks))
                .route("/big", get(|| async { vec![b'.'; 1 << 20] }));
            (background(), app)
        })
        .await;
        let mut client = Client::connect(protocol, server.address()).await;
        let mut last = timeline.now();
        for (path, length) in [
            ("/small", 5),
            ("/none", 0),
            ("/chunks", 3),
            ("/big", 1 << 20),
        ] {
            for method in ["GET", "HEAD", "GET"] {
                let response = client.fetch(method, path).await;
                let expected = if method == "HEAD" { 0 } else { length };
                assert_eq!(response.body.len(), expected, "{protocol:?} {path}");
                let write = server.last_write(response.end).await;
                assert!(last.is_before(&write), "{protocol:?} {method} {path}");
                last = timeline.now();
            }
        }
    }
}

#[tokio::test]
async fn the_gate_holds_the_rest_of_a_response_back() {
    let timeline = Timeline::new();
    let server = Server::start(PLAIN, &timeline, {
        let timeline = timeline.clone();
        move || spawning_app(&timeline)
    })
    .await;
    server.gate().allow(50);
    let mut client = Http1::connect(server.address()).await;
    client.start("GET", "/").await;
    client.exactly(50).await;
    eventually("held back", || server.gate().is_holding()).await;
    assert_eq!(server.recorder().written(client.address()), 50);
    server.gate().open();
    client.exactly(100_000).await;
}

#[tokio::test]
async fn a_client_can_reset_and_a_dropped_response_resets_its_stream() {
    let timeline = Timeline::new();
    let server = Server::start(PLAIN, &timeline, {
        let timeline = timeline.clone();
        move || {
            let wait = async move || {
                let gone = DropMark(timeline.clone());
                timeline.mark("handling");
                std::future::pending::<()>().await;
                drop(gone);
            };
            let echo = post(|headers: HeaderMap, body: Bytes| async move {
                assert_eq!(headers["content-type"], "application/json");
                body
            });
            let app = Router::new().route("/", get(wait)).route("/echo", echo);
            (background(), app)
        }
    })
    .await;

    let mut client = Http1::connect(server.address()).await;
    client.start("GET", "/").await;
    timeline.reached_times("handling", 1).await;
    client.reset();
    timeline.reached_times("dropped", 1).await;

    let mut client = Http2::connect(server.address()).await;
    let (_, response) = client.start("GET", "/");
    timeline.reached_times("handling", 2).await;
    drop(response);
    timeline.reached_times("dropped", 2).await;
    let echoed = client.fetch_with("POST", "/echo", "[1]").await;
    assert_eq!(echoed.body, "[1]");
}

/// The system gives the port of a connection that has ended to the next one, if it happens to come by.
#[tokio::test]
async fn a_second_connection_from_a_port_does_not_hide_the_first() {
    let timeline = Timeline::new();
    let server = Server::start(PLAIN, &timeline, || {
        let app = Router::new().route("/", get(|| async { "small" }));
        (background(), app)
    })
    .await;

    // Any other program may be given the port in between: then it is tried again with another one.
    let (end, written, second) = loop {
        let first = TcpSocket::new_v4().unwrap();
        let mut first = first.connect(server.address()).await.unwrap();
        let address = first.local_addr().unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: tests\r\n\r\n";
        first.write_all(request).await.unwrap();
        let end = ResponseEnd::Response(address, 0);
        let written = server.last_write(end).await;
        first.set_zero_linger().unwrap();
        drop(first);
        eventually("gone", || server.recorder().gone(end).is_some()).await;

        let second = TcpSocket::new_v4().unwrap();
        second.set_reuseaddr(true).unwrap();
        match second.bind(address) {
            Ok(()) => break (end, written, second),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse),
        }
    };
    let mut second = second.connect(server.address()).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    second.write_all(&hello).await.unwrap();
    let mut settings = [0; 9];
    let answer = second.read_exact(&mut settings);
    within("the server's settings", answer).await.unwrap();
    let still = server.recorder().last_write(end);
    assert_eq!(still.map(|moment| moment.sequence), Some(written.sequence));
}

struct DropMark(Timeline);

impl Drop for DropMark {
    fn drop(&mut self) {
        self.0.mark("dropped");
    }
}
