//! Tasks that block their thread, and the next request of the connection that they came from.

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, State},
    routing,
};
use bg_runtime::{BackgroundBuilder, BackgroundTasks, named, named_blocking};
use futures_util::future::join_all;

use crate::{Client, Protocol, Server, Setup, Timeline};

/// How a task blocks its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Burst {
    /// In the middle of an async task.
    Async,
    /// In a synchronous one.
    Sync,
}

async fn with_burst(
    Path((kind, millis)): Path<(String, u64)>,
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
) -> &'static str {
    let length = Duration::from_millis(millis);
    if kind == "Async" {
        tasks.add_task(named("burst", timeline.work_blocking("burst", length)));
    } else {
        tasks.add_task(named_blocking("burst", move || {
            timeline.mark("burst");
            std::thread::sleep(length);
            timeline.mark("burst done");
        }));
    }
    "ok"
}

/// Counts how many times, of `times`, the answer to the request after a burst came after the burst.
pub async fn stalled(
    setup: Setup,
    protocol: Protocol,
    settings: fn(BackgroundBuilder) -> BackgroundBuilder,
    (burst, length): (Burst, Duration),
    times: usize,
) -> usize {
    let mut stalled = 0;
    let timeline = Timeline::new();
    let app = Router::new()
        .route("/{kind}/{millis}", routing::get(with_burst))
        .route("/", routing::get(async || "quick"));
    let server = Server::run_with(setup, &timeline, app, settings).await;
    let path = format!("/{burst:?}/{}", length.as_millis());
    for _ in 0..times {
        let done = timeline.count("burst done");
        let mut client = Client::connect(protocol, server.address()).await;
        client.fetch("GET", &path).await;
        timeline.reached_times("burst", done + 1).await;
        client.fetch("GET", "/").await;
        stalled += usize::from(timeline.count("burst done") > done);
        timeline.reached_times("burst done", done + 1).await;
    }
    stalled
}

/// Asserts that no connection is stalled, with either protocol, in any of these setups.
pub async fn none_is_stalled(
    setups: impl IntoIterator<Item = Setup>,
    settings: fn(BackgroundBuilder) -> BackgroundBuilder,
    burst: (Burst, Duration),
    times: usize,
) {
    let cells = setups
        .into_iter()
        .flat_map(|setup| Protocol::ALL.map(|protocol| (setup, protocol)));
    // Side by side, because most of the time they wait.
    let counts = join_all(cells.map(async |(setup, protocol)| {
        let stalled = stalled(setup, protocol, settings, burst, times).await;
        (stalled, setup, protocol)
    }));
    for (stalled, setup, protocol) in counts.await {
        assert_eq!(stalled, 0, "of {times}: {burst:?} {protocol:?} {setup:?}");
    }
}
