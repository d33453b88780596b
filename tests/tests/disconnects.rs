//! Clients that leave: everything that was queued runs, or is skipped and reported. Nothing is
//! lost, and nothing runs twice.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    routing::{get, post},
};
use bg_runtime::{BackgroundTasks, RequestInfo, SkipReason, routes};
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tests::{
    Http1, Http2, Server, Serving, Setup, Timeline, eventually,
    http2_frames::{PREFACE, RST_STREAM, SETTINGS, frame, get as get_frame},
    on_every_setup,
    recorded_io::ResponseEnd,
    tasks::{settled, skip_reason},
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// Queues a task, and ends when it is told to.
async fn handle_slowly(timeline: Timeline, tasks: BackgroundTasks) -> &'static str {
    let dropped = DropMark(timeline.clone());
    tasks.add_task(timeline.task("task"));
    timeline.mark("handling");
    timeline.reached("go on").await;
    timeline.mark("handled");
    drop(dropped);
    "done"
}

struct DropMark(Timeline);

impl Drop for DropMark {
    fn drop(&mut self) {
        self.0.mark("handler gone");
    }
}

async fn slow(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    handle_slowly(timeline, tasks).await
}

async fn slow_with_body(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
    unread: Body,
) -> &'static str {
    let answer = handle_slowly(timeline, tasks).await;
    drop(unread);
    answer
}

fn slow_app() -> Router<Timeline> {
    Router::new().route("/", get(slow).post(slow_with_body))
}

async fn is_skipped(server: &Server, timeline: &Timeline) {
    timeline.reached("handler gone").await;
    let failure = server.failure("task").await;
    assert_eq!(skip_reason(&failure), SkipReason::HandlerCancelled);
    assert_eq!(failure.request().map(RequestInfo::path), Some("/"));
    let stats = settled(server.background(), 1).await;
    assert_eq!(stats.skipped, 1);
    assert!(timeline.find("task").is_none());
    assert!(timeline.find("handled").is_none());
}

/// P-LEAVE-2
#[tokio::test]
async fn a_client_that_leaves_cancels_the_handler_and_its_task_is_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        timeline.reached("handling").await;
        client.leave();
        is_skipped(&server, &timeline).await;
    })
    .await;
}

/// P-LEAVE-2
#[tokio::test]
async fn a_client_that_resets_cancels_the_handler_and_its_task_is_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        timeline.reached("handling").await;
        client.reset();
        is_skipped(&server, &timeline).await;
    })
    .await;
}

/// P-LEAVE-2
#[tokio::test]
async fn a_client_that_half_closes_cancels_the_handler_and_its_task_is_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        timeline.reached("handling").await;
        client.half_close().await;
        is_skipped(&server, &timeline).await;
    })
    .await;
}

/// P-LEAVE-2
#[tokio::test]
async fn a_stream_that_is_reset_cancels_the_handler_and_its_task_is_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http2::connect(server.address()).await;
        let (_, response) = client.start("GET", "/");
        timeline.reached("handling").await;
        drop(response);
        is_skipped(&server, &timeline).await;
    })
    .await;
}

/// hyper does not read on while a request body is unread, so it does not see the client leave.
#[tokio::test]
async fn a_client_that_leaves_with_its_body_unread_gets_its_task_done() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http1::connect(server.address()).await;
        // More than hyper reads before the body is asked for.
        let body = vec![b'.'; 1_000_000];
        client
            .send(tests::http1::request_with("POST", "/", &body))
            .await;
        timeline.reached("handling").await;
        client.leave();
        timeline.mark("go on");
        timeline.reached("handled").await;
        timeline.reached("task done").await;
        assert_eq!(settled(server.background(), 1).await.completed, 1);
    })
    .await;
}

/// hyper does not read on while the next request waits in its buffer either, and drops that request
/// as soon as it looks at it.
#[tokio::test]
async fn a_client_that_half_closes_after_pipelining_gets_its_task_done() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        let mut client = Http1::connect(server.address()).await;
        let request = tests::http1::request("GET", "/");
        client.send(request.repeat(2)).await;
        timeline.reached("handling").await;
        client.half_close().await;
        timeline.mark("go on");
        assert_eq!(client.response("GET").await.body, "done");
        timeline.reached("task done").await;
        client.until_closed().await;
        let accepted = server.background().stats().accepted;
        let stats = settled(server.background(), accepted).await;
        assert_eq!(stats.completed, timeline.count("handled") as u64);
        assert_eq!(stats.failed + stats.aborted, 0);
    })
    .await;
}

async fn endless(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
    tasks.add_task(timeline.task("task"));
    let stream = futures_util::stream::repeat(Bytes::from_static(&[b'.'; 1000]));
    Body::from_stream(stream.map(Ok::<_, Infallible>))
}

async fn stalling(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
    tasks.add_task(timeline.task("task"));
    let first = futures_util::stream::iter([Ok::<_, Infallible>("first")]);
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

fn streaming_app() -> Router<Timeline> {
    Router::new()
        .route("/endless", get(endless))
        .route("/stalling", get(stalling))
}

/// P-LEAVE-1
#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_gets_its_task_done() {
    on_every_setup(async |setup| {
        for path in ["/endless", "/stalling"] {
            for reset in [false, true] {
                let timeline = Timeline::new();
                let server = Server::run(setup, &timeline, streaming_app()).await;
                let mut client = Http1::connect(server.address()).await;
                client.start("GET", path).await;
                client.head().await;
                assert!(client.chunk().await.is_some());
                assert!(timeline.find("task").is_none(), "still being sent");
                if reset {
                    client.reset();
                } else {
                    client.leave();
                }
                timeline.reached("task done").await;
                assert_eq!(settled(server.background(), 1).await.completed, 1);
            }
        }
    })
    .await;
}

/// P-LEAVE-1
#[tokio::test]
async fn a_stream_that_is_reset_in_the_middle_of_a_body_gets_its_task_done() {
    on_every_setup(async |setup| {
        for path in ["/endless", "/stalling"] {
            let timeline = Timeline::new();
            let server = Server::run(setup, &timeline, streaming_app()).await;
            let mut client = Http2::connect(server.address()).await;
            let (_, response) = client.start("GET", path);
            let mut body = response.await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
            assert!(timeline.find("task").is_none(), "still being sent");
            drop(body);
            timeline.reached("task done").await;
            assert_eq!(settled(server.background(), 1).await.completed, 1);
        }
    })
    .await;
}

async fn breaking(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
    tasks.add_task(timeline.task("task"));
    let frames = ["first", "second"].map(Ok).into_iter();
    let broken = Err(std::io::Error::other("the disk is gone"));
    Body::from_stream(futures_util::stream::iter(frames.chain([broken])))
}

/// P-LEAVE-1
#[tokio::test]
async fn a_body_that_breaks_off_gets_its_task_done() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", get(breaking));
        let server = Server::run(setup, &timeline, app).await;

        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        client.until_closed().await;
        timeline.reached_times("task done", 1).await;

        let mut client = Http2::connect(server.address()).await;
        let (_, response) = client.start("GET", "/");
        let body = async { response.await?.into_body().collect().await };
        assert!(body.await.is_err());
        timeline.reached_times("task done", 2).await;
        assert_eq!(settled(server.background(), 2).await.completed, 2);
    })
    .await;
}

async fn large(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Vec<u8> {
    tasks.add_task(timeline.task("task"));
    vec![b'.'; 32 << 20]
}

/// P-LEAVE-1
#[tokio::test]
async fn a_client_that_leaves_while_the_socket_is_full_gets_its_task_done() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", get(large));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect_with_small_buffer(server.address()).await;
        client.start("GET", "/").await;
        client.head().await;
        timeline
            .stays_without("task", Duration::from_millis(50))
            .await;
        client.reset();
        timeline.reached("task done").await;
        assert_eq!(settled(server.background(), 1).await.completed, 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_many_clients_left_answers_the_next_request() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, slow_app()).await;
        for _ in 0..20 {
            let seen = timeline.count("handling");
            let mut client = Http1::connect(server.address()).await;
            client.start("GET", "/").await;
            timeline.reached_times("handling", seen + 1).await;
            client.reset();
        }
        eventually("skipped", || server.background().stats().skipped == 20).await;
        timeline.mark("go on");
        let mut client = Http1::connect(server.address()).await;
        assert_eq!(client.fetch("GET", "/").await.body, "done");
        timeline.reached("task done").await;
        settled(server.background(), 21).await;
    })
    .await;
}

#[bg_runtime::post("/pay", detach, background = timeline.task("route"))]
async fn pay(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    handle_slowly(timeline, tasks).await
}

async fn detached(leave: impl AsyncFn(&Server, &Timeline)) {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![pay]).await;
        leave(&server, &timeline).await;
        assert!(timeline.find("handler gone").is_none());
        timeline.mark("go on");
        timeline.reached("handled").await;
        timeline.reached("task done").await;
        let stats = settled(server.background(), 2).await;
        assert_eq!(stats.completed, 2, "{setup:?}");
        let names = timeline.names();
        assert_eq!(
            names[names.len() - 4..],
            ["route", "route done", "task", "task done"]
        );
    })
    .await;
}

/// P-LEAVE-3
#[tokio::test]
async fn a_detached_handler_is_finished_without_its_client_and_its_tasks_run() {
    detached(async |server, timeline| {
        let mut client = Http1::connect(server.address()).await;
        client.start("POST", "/pay").await;
        timeline.reached("handling").await;
        client.reset();
    })
    .await;
}

/// P-LEAVE-3
#[tokio::test]
async fn a_detached_handler_is_finished_without_its_stream_and_its_tasks_run() {
    detached(async |server, timeline| {
        let mut client = Http2::connect(server.address()).await;
        let (_, response) = client.start("POST", "/pay");
        timeline.reached("handling").await;
        drop(response);
        // The reset has arrived when a later request has been answered.
        client.fetch("GET", "/nowhere").await;
    })
    .await;
}

#[tokio::test]
async fn a_detached_handler_answers_like_any_other() {
    let timeline = Timeline::new();
    timeline.mark("go on");
    let server = Server::run(Setup::DEFAULT, &timeline, routes![pay]).await;
    let mut client = Http1::connect(server.address()).await;
    let response = client.fetch("POST", "/pay").await;
    assert_eq!(
        (response.head.status, &response.body[..]),
        (200, &b"done"[..])
    );
    let start = timeline.reached("route").await;
    assert!(server.last_write(response.end).await.is_before(&start));
    assert_eq!(settled(server.background(), 2).await.completed, 2);
}

async fn reads_its_body(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
    body: Bytes,
) -> String {
    tasks.add_task(timeline.task("task"));
    body.len().to_string()
}

#[tokio::test]
async fn a_client_that_leaves_while_it_sends_its_body_queued_nothing() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", post(reads_its_body));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let mut client = Http1::connect(server.address()).await;
    client
        .send("POST / HTTP/1.1\r\nhost: tests\r\ncontent-length: 10\r\n\r\nhalf")
        .await;
    client.leave();
    let mut other = Http1::connect(server.address()).await;
    let response = other.fetch_with("POST", "/", b"1234567890").await;
    assert_eq!(response.body, "10");
    assert_eq!(settled(server.background(), 1).await.completed, 1);
}

/// The server counts streams that are reset before it has accepted them, and goes away when there are too
/// many, whatever else is on the connection. Its client need not have noticed when the task begins.
#[tokio::test]
async fn a_connection_that_the_server_ends_gives_its_responses_up() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", get(goes_on));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = TcpStream::connect(server.address()).await.unwrap();
        let end = ResponseEnd::Stream(client.local_addr().unwrap(), 1);
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &get_frame(1, "/")].concat();
        client.write_all(&hello).await.unwrap();
        timeline.reached("sending").await;

        let cancel = 8_u32.to_be_bytes();
        let resets = (1..200).map(|nth| 1 + 2 * nth).flat_map(|stream| {
            [
                get_frame(stream, "/none"),
                frame(RST_STREAM, 0, stream, &cancel),
            ]
            .concat()
        });
        let resets: Vec<u8> = resets.collect();
        client.write_all(&resets).await.unwrap();
        let start = timeline.reached("task").await;
        eventually("gone", || server.recorder().gone(end).is_some()).await;
        assert!(server.recorder().last_write(end).is_none(), "{setup:?}");
        if setup.serving == Serving::Background {
            let gone = server.recorder().gone(end).unwrap();
            assert!(gone.is_before(&start), "{setup:?}");
        }
        let stats = settled(server.background(), 1).await;
        assert_eq!(stats.completed, 1);
        drop(client);
    })
    .await;
}

/// Queues a task, and sends a body that goes on after its first frame.
async fn goes_on(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
    tasks.add_task(timeline.task("task"));
    let first = futures_util::stream::once(async move {
        timeline.mark("sending");
        Ok::<_, Infallible>(Bytes::from_static(b"first"))
    });
    Body::from_stream(Box::pin(first.chain(futures_util::stream::pending())))
}
