//! Ordinary axum: handlers without an attribute, a `Router`, `axum::serve`. The layer brings the
//! tasks, and `shutdown()` waits for them at the end.
//!
//! ```text
//! cargo run --example plain_axum                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example plain_axum -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example plain_axum -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode, time::Duration};

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, TaskExt, after_response, background_task,
};
use examples::{Request, Step, Stop, Wire};
use serde_json::json;
use tokio::time::sleep;
use tracing::info;

#[background_task]
async fn send_receipt(order: u64, to: &str) {
    sleep(Duration::from_millis(100)).await;
    info!("receipt of order {order} sent to {to}");
}

#[background_task]
async fn count_view(order: u64) {
    info!("order {order} viewed");
}

#[background_task]
async fn report_miss(order: u64) {
    info!("order {order} was asked for, and does not exist");
}

#[background_task]
async fn reserve(item: String) {
    info!("one {item} reserved");
}

// The list is an extractor, as everywhere.
async fn place_order(tasks: BackgroundTasks, Json(to): Json<String>) -> StatusCode {
    let order = 456; // from the database
    pick("lamp");
    tasks.add_task(SendReceipt::new(order, to));
    StatusCode::CREATED
}

/// Knows of no request, and queues onto the one that is being handled.
fn pick(item: &str) {
    if let Err(refused) = after_response(Reserve::new(item)) {
        info!("{refused}");
    }
}

// A task is a part of a response, as everywhere.
async fn show_order(tasks: BackgroundTasks, Path(order): Path<u64>) -> impl IntoResponse {
    tasks.add_task(ReportMiss::new(order).on_error_response());
    if order != 456 {
        return Err(StatusCode::NOT_FOUND);
    }
    Ok((
        CountView::new(order),
        Json(json!({ "order": order, "item": "lamp" })),
    ))
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder().build()?;
    let app = Router::new()
        .route("/orders", post(place_order))
        .route("/orders/{order}", get(show_order))
        .layer(background.layer()); // last, so that it is outermost

    axum::serve(listener, app)
        .with_graceful_shutdown(stop)
        .await?;
    Ok(background.shutdown().await)
}

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::post("/orders")
            .json(&json!("ada@example.com"))
            .answered(201)
            .then(&[
                "one lamp reserved",
                "receipt of order 456 sent to ada@example.com",
            ]),
        Request::get("/orders/456")
            .answered(200)
            .then(&["order 456 viewed"]),
        Request::get("/orders/457")
            .answered(404)
            .then(&["order 457 was asked for, and does not exist"]),
        Step::ctrl_c().then(&["4 completed, 0 failed, 1 skipped, 0 aborted"]),
    ];
    examples::run("plain_axum", script, serve).await
}
