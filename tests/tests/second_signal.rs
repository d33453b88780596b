//! Two signals in a program with two servers.
//!
//! A program of its own: a signal is for the whole process.
#![cfg(unix)]

use std::process::Command;

use axum::{Router, extract::State, routing};
use bg_runtime::{Background, BackgroundTasks, TaskContext, background_task};
use tests::{Http1, Timeline, within};
use tokio::net::TcpListener;

/// Ends when no time is left.
#[background_task]
async fn gives_in(#[context] cx: TaskContext, #[state] timeline: Timeline) {
    timeline.mark("gives-in");
    cx.cancelled().await;
    timeline.mark("gives-in done");
}

async fn never_answers(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    tasks.add_task(timeline.task("never due"));
    timeline.mark("handling");
    std::future::pending::<()>().await;
}

fn interrupt() {
    let process = std::process::id().to_string();
    let kill = Command::new("kill").args(["-INT", &process]).status();
    assert!(kill.unwrap().success());
}

/// P-SERVERS-9
#[tokio::test]
async fn a_second_signal_ends_the_wait_of_two_servers_and_not_the_background() {
    let timeline = Timeline::new();
    let background: Background = timeline.background().build().unwrap();
    let app = Router::new()
        .route("/", routing::get(|| async {}))
        .route("/slow", routing::get(never_answers))
        .with_state(timeline.clone());
    let mut servers = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Http1::connect(listener.local_addr().unwrap()).await;
        let server = background.serve(listener, app.clone()).into_future();
        servers.push(tokio::spawn(server));
        assert_eq!(client.fetch("GET", "/").await.head.status, 200);
        client.start("GET", "/slow").await;
        clients.push(client);
    }
    timeline.reached_times("handling", 2).await;
    background.spawn(GivesIn);
    timeline.reached("gives-in").await;

    interrupt();
    within("the first signal", background.stopping()).await;
    assert!(timeline.find("gives-in done").is_none());
    assert!(servers.iter().all(|server| !server.is_finished()));
    interrupt();
    let mut reports = Vec::new();
    for server in servers {
        let ended = within("the second signal", server).await;
        reports.push(ended.unwrap().unwrap());
    }
    assert!(timeline.find("gives-in done").is_some());
    let drained = reports.iter().find(|report| report.stats().pending == 0);
    let drained = drained.expect("one of them has drained");
    assert_eq!(drained.stats().completed, 1, "{drained}");
    assert_eq!(drained.unfinished().len(), 2, "{drained}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = Http1::connect(listener.local_addr().unwrap()).await;
    let again = tokio::spawn(background.serve(listener, app).into_future());
    assert_eq!(client.fetch("GET", "/").await.head.status, 200);
    background.spawn(timeline.task("again")).await.unwrap();
    interrupt();
    let report = within("the third signal", again).await.unwrap().unwrap();
    assert_eq!((report.stats().accepted, report.stats().completed), (1, 1));
}
