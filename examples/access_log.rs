//! An access log: one line for each request, written after its response, which says how that went.
//!
//! ```text
//! cargo run --example access_log                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example access_log -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example access_log -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode};

use axum::{
    Router,
    extract::Request as HttpRequest,
    http::StatusCode,
    middleware::{Next, from_fn},
    response::Response,
    routing::get,
};
use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, TaskContext, TaskExt, background_task,
};
use examples::{Request, Step, Stop, Wire};
use tracing::info;

/// Writes the line of one request.
#[background_task]
async fn write_line(#[context] cx: TaskContext) {
    let (Some(request), Some(response)) = (cx.request(), cx.response()) else {
        // The handler panicked, or its client left before there was a response.
        return;
    };
    let (status, bytes) = (response.status.as_u16(), response.bytes);
    let end = if response.complete { "" } else { ", cut short" };
    // A log file would have the time as well: `response.elapsed`.
    info!("{request} {status} {bytes} bytes{end}");
}

/// Queues the line, for every answer (`always`), and beside the tasks of the handler rather than behind
/// them (`independent`): it waits for none of them, and none that fails keeps it from being written.
async fn log_access(tasks: BackgroundTasks, request: HttpRequest, next: Next) -> Response {
    tasks.add_task(WriteLine.always().independent());
    next.run(request).await
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder().build()?;
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route("/gone", get(async || StatusCode::GONE))
        .layer(from_fn(log_access));
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::get("/").answered(200).then(&["GET / 200 5 bytes"]),
        Request::get("/gone")
            .answered(410)
            .then(&["GET /gone 410 0 bytes"]),
        Step::ctrl_c().then(&["2 completed, 0 failed, 0 skipped, 0 aborted"]),
    ];
    examples::run("access_log", script, serve).await
}
