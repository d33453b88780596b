//! What elysia-background does: the list as an argument of the handler, tasks in sequence, a failure
//! that ends the sequence, and an error handler that knows the task and its arguments.
//!
//! ```text
//! cargo run --example elysia                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example elysia -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example elysia -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, process::ExitCode, time::Duration};

use axum::Json;
use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, TaskFailure, TaskInfo, background_task, get, post,
    routes,
};
use examples::{Request, Step, Stop, Wire};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;
use tracing::{error, info};

#[derive(Deserialize)]
struct SignUp {
    email: String,
}

// The extractor: what the handler adds runs after its response.

#[background_task]
async fn send_confirmation_email(email: &str, code: &str) {
    info!("sending confirmation email to {email} with code {code}");
}

#[post("/sign-up")]
async fn sign_up(tasks: BackgroundTasks, Json(form): Json<SignUp>) -> Json<Value> {
    tasks.add_task(SendConfirmationEmail::new(form.email, "123456"));
    Json(json!({ "message": "Registration successful!" }))
}

// The sequence: each task waits for the one before it, however long that takes. Where a task fails,
// those after it do not run.

#[background_task]
async fn fetch_report(month: u32) {
    sleep(Duration::from_millis(100)).await;
    info!("report of month {month} fetched");
}

#[background_task]
async fn convert_report(month: u32) -> Result<(), String> {
    if month > 12 {
        return Err(format!("there is no month {month}"));
    }
    info!("report of month {month} converted");
    Ok(())
}

#[background_task]
async fn publish_report(month: u32) {
    info!("report of month {month} published");
}

#[post("/reports/{month}")]
async fn make_report(tasks: BackgroundTasks, month: u32) -> Json<Value> {
    tasks.add_task(FetchReport::new(month));
    tasks.add_task(ConvertReport::new(month));
    tasks.add_task(PublishReport::new(month));
    Json(json!({ "message": "Report under way" }))
}

// The error handler. elysia-background gives it the error and `task.args`.

#[background_task]
async fn simulate(_id: u32) -> Result<(), &'static str> {
    Err("Simulated task failure")
}

#[get("/test")]
async fn test(tasks: BackgroundTasks) -> Json<Value> {
    tasks.add_task(Simulate::new(123));
    Json(json!({ "message": "Task added" }))
}

fn on_error(failure: &TaskFailure) {
    error!("task {} failed: {}", failure.task().name(), failure.error());
    if let Some(arguments) = failure.arguments() {
        error!("  its arguments: {arguments}");
    }
    for skipped in failure.skipped().iter().map(TaskInfo::name) {
        error!("  not run because of it: {skipped}");
    }
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .log_failures(false)
        .on_error(on_error)
        .build()?;
    let app = routes![sign_up, make_report, test];
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::post("/sign-up")
            .json(&json!({ "email": "ada@example.com" }))
            .answered(200)
            .then(&["sending confirmation email to ada@example.com with code 123456"]),
        Request::post("/reports/6").answered(200).then(&[
            "report of month 6 fetched",
            "report of month 6 converted",
            "report of month 6 published",
        ]),
        Request::post("/reports/13").answered(200).then(&[
            "report of month 13 fetched",
            "task elysia::convert_report failed: there is no month 13",
            "  its arguments: month: 13",
            "  not run because of it: elysia::publish_report",
        ]),
        Request::get("/test").answered(200).then(&[
            "task elysia::simulate failed: Simulated task failure",
            "  its arguments: _id: 123",
        ]),
        Step::ctrl_c().then(&["5 completed, 2 failed, 1 skipped, 0 aborted"]),
    ];
    examples::run("elysia", script, serve).await
}
