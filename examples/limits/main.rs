//! Limits: how many tasks run at once of one kind, of one user, and in all; what waits, what is
//! refused, and on which threads tasks run. One file for each.
//!
//! ```text
//! cargo run --example limits                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example limits -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example limits -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode};

use bg_runtime::{Background, Overflow, ShutdownReport, TaskFailure, routes};
use examples::{Stop, Wire};
use tracing::error;

mod all_tasks;
mod one_task;
mod one_user;
mod retries;
mod script;
mod threads;

fn log_failure(failure: &TaskFailure) {
    error!(arguments = failure.arguments(), "{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        // Of all tasks together: how many run at once, and how many may wait. More are refused.
        .max_concurrent(3)
        .max_pending(4, Overflow::Reject)
        // On threads of their own, and not on the one that handles requests.
        .isolated(2)
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let app = routes![
        one_task::refresh_prices,
        one_user::start_export,
        one_user::open_archive,
        retries::invoice,
        all_tasks::send_digests,
        threads::ship,
        threads::add_paper,
    ];
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

// The server has a single thread. A task that blocked it would stop everything.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    examples::run("limits", script::every_limit(), serve).await
}
