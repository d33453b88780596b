//! What happens to tasks when the server stops: it waits for them, asks those that are left to stop,
//! and names each one that did not.
//!
//! ```text
//! cargo run --example shutdown                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example shutdown -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example shutdown -- --once          # tries it itself: takes two seconds, then exits
//! ```

use std::{error::Error, process::ExitCode, time::Duration};

use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, TaskContext, TaskFailure, background_task, post,
    routes,
};
use examples::{Request, Step, Stop, Wire};
use tokio::time::sleep;
use tracing::{error, info};

/// Finishes while the shutdown waits.
#[background_task]
async fn send_mail(to: &str) {
    sleep(Duration::from_millis(500)).await;
    info!("mail to {to} sent");
}

/// Would go on for long, and stops when it is asked to.
#[background_task]
async fn build_index(#[context] cx: TaskContext) {
    let mut pages = 0;
    loop {
        tokio::select! {
            () = cx.cancelled() => break,
            () = sleep(Duration::from_millis(100)) => pages += 1,
        }
    }
    sleep(Duration::from_millis(100)).await;
    info!("asked to stop: place saved after {pages} pages");
}

/// Goes on for long, and does not look whether it should stop.
#[background_task]
async fn import_archive() {
    sleep(Duration::from_secs(3600)).await;
    info!("archive imported");
}

// All three at the same time.
#[post("/work")]
async fn work() -> BackgroundTasks {
    let tasks = BackgroundTasks::concurrent();
    tasks.add_task(SendMail::new("ada@example.com"));
    tasks.add_task(BuildIndex);
    tasks.add_task(ImportArchive);
    tasks
}

fn log_failure(failure: &TaskFailure) {
    error!("{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .drain_timeout(Duration::from_secs(1)) // then `cancelled()`, and a second later the end
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let server = background.serve(listener, routes![work]);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::post("/work").answered(200),
        Step::ctrl_c().then(&[
            "mail to ada@example.com sent",
            "asked to stop: place saved after",
            "shutdown::import_archive (examples/shutdown.rs:",
            "not finished: shutdown::import_archive",
        ]),
    ];
    examples::run("shutdown", script, serve).await
}
