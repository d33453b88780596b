//! What a task is told about the response that it runs after, and responses that nothing takes.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing,
};
use bg_runtime::{
    Background, BackgroundTasks, Overflow, ResponseInfo, TaskContext, TaskExt, background_task,
    routes,
};
use bytes::Bytes;
use futures_util::stream;
use tests::{
    Client, Http1, Http2, Protocol, Server, Serving, Setup, Timeline, eventually, on_every_setup,
    within,
};
use tokio::net::TcpListener;

/// Marks how the response went: `200 5 complete`.
#[background_task]
async fn note(#[state] timeline: Timeline, #[context] cx: TaskContext) {
    timeline.mark(shown(cx.response()));
}

fn shown(response: Option<ResponseInfo>) -> String {
    let Some(response) = response else {
        return "no response".to_owned();
    };
    let ResponseInfo {
        status,
        bytes,
        complete,
        ..
    } = response;
    let end = if complete { "complete" } else { "cut short" };
    format!("{} {bytes} {end}", status.as_u16())
}

async fn full(tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(Note);
    "hello"
}

async fn streamed(tasks: BackgroundTasks) -> Body {
    tasks.add_task(Note);
    Body::from_stream(stream::iter(["a", "bc", "def"].map(Ok::<_, String>)))
}

async fn fails_half_way(tasks: BackgroundTasks) -> Body {
    tasks.add_task(Note);
    Body::from_stream(stream::iter([Ok("abc"), Err("no more")]))
}

async fn no_content(tasks: BackgroundTasks) -> StatusCode {
    tasks.add_task(Note);
    StatusCode::NO_CONTENT
}

async fn refused(tasks: BackgroundTasks) -> Response {
    tasks.add_task(Note.always());
    (StatusCode::NOT_FOUND, "no such thing").into_response()
}

async fn panics(tasks: BackgroundTasks) {
    tasks.add_task(Note.always());
    panic!("in a handler");
}

/// More than sockets hold.
async fn large(tasks: BackgroundTasks) -> Bytes {
    tasks.add_task(Note);
    Bytes::from(vec![0; LARGE])
}

const LARGE: usize = 32 << 20;

async fn small(tasks: BackgroundTasks) -> Bytes {
    tasks.add_task(Note);
    Bytes::from(vec![0; SMALL])
}

const SMALL: usize = 3000;

fn app() -> Router<Timeline> {
    Router::new()
        .route("/full", routing::get(full))
        .route("/streamed", routing::get(streamed))
        .route("/half", routing::get(fails_half_way))
        .route("/none", routing::get(no_content))
        .route("/refused", routing::get(refused))
        .route("/panics", routing::get(panics))
        .route("/large", routing::get(large))
        .route("/small", routing::get(small))
}

async fn is_noted(setup: Setup, protocol: Protocol, method: &str, path: &str, expected: &str) {
    let timeline = Timeline::new();
    let server = Server::run(setup, &timeline, app()).await;
    Client::connect(protocol, server.address())
        .await
        .fetch(method, path)
        .await;
    eventually(expected, || !timeline.names().is_empty()).await;
    assert_eq!(timeline.names(), [expected], "{setup:?} {protocol:?}");
}

/// P-RESPONSE-1
#[tokio::test]
async fn a_task_is_told_the_status_and_the_bytes_of_a_whole_response() {
    on_every_setup(async |setup| {
        for protocol in Protocol::ALL {
            for (method, path, expected) in [
                ("GET", "/full", "200 5 complete"),
                ("HEAD", "/full", "200 0 complete"),
                ("GET", "/streamed", "200 6 complete"),
                ("GET", "/none", "204 0 complete"),
                ("GET", "/refused", "404 13 complete"),
            ] {
                is_noted(setup, protocol, method, path, expected).await;
            }
        }
    })
    .await;
}

/// P-RESPONSE-2
#[tokio::test]
async fn a_body_that_fails_half_way_is_not_a_complete_response() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, app()).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/half").await;
        timeline.reached("200 3 cut short").await;
    })
    .await;
}

/// P-RESPONSE-2
#[tokio::test]
async fn a_client_that_leaves_in_the_middle_gets_no_complete_response() {
    // Another server says when it has let go of the bytes, and nothing of what became of them.
    let setup = Setup::DEFAULT;
    assert_eq!(setup.serving, Serving::Background);
    let timeline = Timeline::new();
    let server = Server::run(setup, &timeline, app()).await;

    let mut client = Http1::connect_with_small_buffer(server.address()).await;
    client.start("GET", "/large").await;
    client.head().await;
    client.reset();
    eventually("the first is noted", || timeline.names().len() == 1).await;

    let mut client = Http2::connect(server.address()).await;
    let (_, response) = client.start("GET", "/large");
    drop(within("the head", response).await);
    eventually("the second is noted", || timeline.names().len() == 2).await;
    for name in timeline.names() {
        assert!(
            name.starts_with("200 ") && name.ends_with(" cut short"),
            "{name}"
        );
    }
}

/// By the number of its bytes the connection might have sent it: it has sent another one as large since.
///
/// P-RESPONSE-2
#[tokio::test]
async fn a_reset_stream_is_not_complete_though_as_much_was_written() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, app()).await;
    let window = u32::try_from(SMALL / 3).unwrap();
    let mut client = Http2::with_window(server.address(), window).await;

    let (_, response) = client.start("GET", "/small");
    let unread = within("the head", response).await;
    assert_eq!(client.fetch("GET", "/small").await.body.len(), SMALL);
    timeline.reached(&format!("200 {SMALL} complete")).await;
    drop(unread);
    timeline.reached(&format!("200 {SMALL} cut short")).await;
}

/// P-RESPONSE-3
#[tokio::test]
async fn a_task_without_a_response_is_told_of_none() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, app()).await;
    server.background().spawn(Note).await.unwrap();
    timeline.reached("no response").await;
    let mut client = Http1::connect(server.address()).await;
    client.start("GET", "/panics").await;
    timeline.reached_times("no response", 2).await;
}

async fn quick(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.task("quick"));
    "quick"
}

/// P-STALL-1
#[tokio::test]
async fn clients_that_do_not_read_hold_the_room_of_others_for_a_time_only() {
    const ROOM: usize = 4;
    let timeline = Timeline::new();
    let background = timeline.background().max_pending(ROOM, Overflow::Wait);
    let background = background.build().unwrap();
    let app = app().route("/quick", routing::get(quick));
    let app = app.merge(routes![]).with_state(timeline.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limit = Duration::from_millis(300);
    let server = background.serve(listener, app).write_timeout(limit);
    let server = tokio::spawn(server.into_future());

    let (mut idle, mut bodies) = (Vec::new(), Vec::new());
    for nth in 0..ROOM {
        if nth % 2 == 0 {
            let mut client = Http1::connect_with_small_buffer(address).await;
            client.start("GET", "/large").await;
            client.head().await;
            idle.push(Client::Http1(client));
        } else {
            // Its window is closed after these bytes, while the socket takes more.
            let mut client = Http2::with_window(address, 1000).await;
            let (_, response) = client.start("GET", "/large");
            bodies.push(within("the head", response).await);
            idle.push(Client::Http2(client));
        }
    }
    assert_eq!(background.stats().pending, ROOM as u64);
    let mut client = Http1::connect(address).await;
    let response = within("room", client.fetch("GET", "/quick")).await;
    assert_eq!(response.body, "quick");
    timeline.reached("quick done").await;
    eventually("all are noted", || cut_short(&timeline) == ROOM).await;
    drop((idle, bodies));
    server.abort();
}

fn cut_short(timeline: &Timeline) -> usize {
    let names = timeline.names().into_iter();
    names.filter(|name| name.ends_with("cut short")).count()
}

/// P-STALL-1
#[tokio::test]
async fn without_a_write_timeout_a_client_may_take_its_time() {
    let timeline = Timeline::new();
    let server = Server::run(Setup::DEFAULT, &timeline, app()).await;
    let mut client = Http1::connect_with_small_buffer(server.address()).await;
    client.start("GET", "/large").await;
    client.head().await;
    let a_while = Duration::from_millis(500);
    timeline.stays_without("200", a_while).await;
    assert_eq!(client.exactly(LARGE).await.len(), LARGE);
    timeline.reached(&format!("200 {LARGE} complete")).await;
    let _: &Background = server.background();
}
