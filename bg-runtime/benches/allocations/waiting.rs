//! The memory of tasks that wait.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing;
use bg_runtime::{Background, background_task, get, named, routes};
use http::Request;
use stats_alloc::Region;
use tokio::runtime::Runtime;
use tower::ServiceExt;

use crate::HEAP;

const LISTS: usize = 10_000;

#[background_task]
async fn keep(argument: [u8; 64]) {
    std::hint::black_box(argument);
}

#[get("/", background = Keep::new([7; 64]))]
async fn with_task() -> &'static str {
    "hello"
}

/// Bytes of each list whose response has not been sent, beyond those of a response without tasks.
pub(crate) fn for_response() -> f64 {
    let runtime = runtime();
    let _entered = runtime.enter();
    let background = Background::builder()
        .build()
        .expect("no task needs a state");
    let plain = Router::new().route("/", routing::get(async || "hello"));
    let ours = routes![with_task].layer(background.layer());
    let plain = bytes(&runtime, &plain, |response| response);
    let ours = bytes(&runtime, &ours, |response| response);
    (ours - plain) / LISTS as f64
}

/// Bytes of each list whose response is out, and that waits for another list to end.
pub(crate) fn for_slot() -> f64 {
    let runtime = runtime();
    let _entered = runtime.enter();
    let background = Background::builder()
        .max_concurrent(1)
        .build()
        .expect("no task needs a state");
    let busy = background.spawn(named("busy", std::future::pending::<()>()));
    let app = routes![with_task].layer(background.layer());
    let kept = bytes(&runtime, &app, drop);
    let stats = background.stats();
    assert_eq!(
        (stats.running, stats.pending),
        (1, LISTS as u64 + 1),
        "all wait"
    );
    busy.abort();
    kept / LISTS as f64
}

/// Bytes that are kept for each request that has been answered.
fn bytes<K>(runtime: &Runtime, app: &Router, keep: impl Fn(Response) -> K) -> f64 {
    runtime.block_on(async {
        let mut kept = Vec::with_capacity(LISTS + 1);
        // The first allocates what all of them share.
        kept.push(keep(answer(app).await));
        let region = Region::new(&HEAP);
        for _ in 0..LISTS {
            kept.push(keep(answer(app).await));
        }
        // Under the layer a list lines up a millisecond after its response.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let change = region.change();
        drop(kept);
        change.bytes_allocated as f64 - change.bytes_deallocated as f64
    })
}

async fn answer(app: &Router) -> Response {
    let request = Request::get("/").body(Body::empty()).expect("a request");
    let Ok(response) = app.clone().oneshot(request).await;
    response
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
