//! Something outside of the layer, such as a cache or a test, may keep the bytes of a response.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::{Router, routing};
use bg_runtime::{Background, BackgroundTasks, named};
use tests::logs;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tower::ServiceExt;

fn app(background: &Background, done: mpsc::UnboundedSender<Instant>) -> Router {
    let handler = |tasks: BackgroundTasks| async move {
        tasks.add_task(named("note", async move { done.send(Instant::now()) }));
        "bytes"
    };
    Router::new()
        .route("/kept", routing::get(handler))
        .layer(background.layer())
}

async fn fetch(app: Router) -> bytes::Bytes {
    let request = Request::get("/kept").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    to_bytes(response.into_body(), 1024).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn tasks_wait_while_the_bytes_of_the_response_are_kept_and_no_longer() {
    let background = Background::builder().build().unwrap();
    let (done, mut noted) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let bytes = fetch(app(&background, done)).await;

    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(background.stats().pending, 1);
    drop(bytes);
    let ran_after = noted.recv().await.unwrap() - begun;
    let minute = Duration::from_secs(60);
    assert!(ran_after >= minute, "{ran_after:?}");
    assert!(ran_after < minute + Duration::from_secs(1), "{ran_after:?}");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_kept_for_good_do_not_hold_the_tasks_up_for_good() {
    logs::keep();
    let background = Background::builder().build().unwrap();
    let (done, mut noted) = mpsc::unbounded_channel();
    let begun = Instant::now();
    let _cached = fetch(app(&background, done)).await;

    let ran_after = noted.recv().await.unwrap() - begun;
    assert!(ran_after >= Duration::from_secs(600), "{ran_after:?}");
    assert!(ran_after < Duration::from_secs(601), "{ran_after:?}");
    let warnings = logs::lines_with("has kept the bytes of a response");
    assert!(warnings[0].contains("GET /kept"), "{warnings:?}");
}
