//! The page of Ravyn on background tasks, section by section, in the words of this library.
//!
//! ```text
//! cargo run --example ravyn                     # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example ravyn -- 127.0.0.1:8080   # the same, on another address
//! cargo run --example ravyn -- --once           # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode};

use bg_runtime::{Background, ShutdownReport, TaskFailure, routes};
use examples::{Stop, Wire};
use tracing::error;

mod add_task;
mod handlers;
mod pitfalls;
mod quick_start;
mod registration;
mod responses;
mod script;
mod sync_and_async;
mod upload;
mod webhook;

fn log_failure(failure: &TaskFailure) {
    error!(arguments = failure.arguments(), "{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let app = routes![
        quick_start::register_user,
        handlers::create_user,
        handlers::register,
        responses::register,
        responses::notify_user,
        responses::process_order,
        add_task::perform_action,
        sync_and_async::mixed,
        registration::register_user,
        upload::upload_file,
        webhook::create_order,
        pitfalls::calculate,
        pitfalls::risky,
        pitfalls::visit,
    ];
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let receiver = webhook::start_receiver().await?;
    let script = script::every_section(&receiver);
    Ok(examples::run("ravyn", script, serve).await)
}
