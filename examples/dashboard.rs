//! What is going on: `stats()` and `tasks()` as two tables, on a route of their own.
//!
//! ```text
//! cargo run --example dashboard                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example dashboard -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example dashboard -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, fmt::Write as _, process::ExitCode, time::Duration};

use axum::{Json, extract::State};
use bg_runtime::{
    Background, BackgroundTasks, ShutdownReport, Stats, TaskExt, TaskFailure, TaskInfo,
    background_task, get, post, routes,
};
use examples::{Request, Step, Stop, Wire};
use serde_json::json;
use tracing::{error, info};

/// Sends one mail.
#[background_task(name = "mail.send", timeout = "5s", retries = 2, backoff = "10ms")]
async fn send_mail(to: String, #[secret] code: u32) -> Result<(), String> {
    if to.ends_with(".invalid") {
        return Err(format!("no server takes {to}"));
    }
    info!(
        "mail sent to {to}, with a code of {} digits",
        code.to_string().len()
    );
    Ok(())
}

/// Draws the picture of a new account.
#[background_task(name = "avatar.draw", max_concurrent = 2)]
fn draw_avatar(name: &str) {
    info!("{name}.png drawn");
}

/// Asks a user who has not confirmed an address.
#[background_task(name = "mail.remind")]
async fn remind(to: String) {
    info!("{to} reminded");
}

#[post("/sign-up", background = [
    DrawAvatar::new("ada"),
    SendMail::new(&email, 123_456),
    SendMail::new("sales@example.invalid", 0),
])]
async fn sign_up(tasks: BackgroundTasks, Json(email): Json<String>) {
    tasks.add_task(Remind::new(email).delay(Duration::from_secs(3600)));
}

#[get("/dashboard")]
async fn dashboard(State(background): State<Background>) -> String {
    format!(
        "\n{}\n{}",
        counts(&background.stats()),
        declarations(&background.tasks())
    )
}

/// The number of tasks in each state. All rows but the first and the last add up to the first.
fn counts(stats: &Stats) -> String {
    let rows = [
        ("accepted", stats.accepted),
        ("pending", stats.pending),
        ("running", stats.running),
        ("completed", stats.completed),
        ("failed", stats.failed),
        ("skipped", stats.skipped),
        ("aborted", stats.aborted),
        ("retries", stats.retries),
    ];
    let rows = rows.map(|(name, count)| [name.to_owned(), count.to_string()]);
    table(["tasks", "count"], &rows)
}

/// Every task that is declared in the program.
fn declarations(tasks: &[TaskInfo]) -> String {
    let rows: Vec<_> = tasks
        .iter()
        .map(|task| {
            [
                task.name().to_owned(),
                format!("{}:{}", task.file(), task.line()),
                parameters(task),
                settings(task),
                task.docs().to_owned(),
            ]
        })
        .collect();
    table(
        ["task", "place", "parameters", "settings", "what it does"],
        &rows,
    )
}

fn parameters(task: &TaskInfo) -> String {
    let parameters = task.parameters().iter().map(|parameter| {
        let secret = if parameter.is_secret() {
            " (secret)"
        } else {
            ""
        };
        format!("{}: {}{secret}", parameter.name(), parameter.type_name())
    });
    parameters.collect::<Vec<_>>().join(", ")
}

fn settings(task: &TaskInfo) -> String {
    let kind = if task.is_blocking() { "sync" } else { "async" };
    let mut settings = vec![kind.to_owned()];
    if let Some(timeout) = task.timeout() {
        settings.push(format!("timeout {timeout:?}"));
    }
    if task.retries() > 0 {
        settings.push(format!("retries {}", task.retries()));
    }
    if let Some(limit) = task.limits().concurrent {
        settings.push(format!("at most {limit} at once"));
    }
    settings.join(", ")
}

/// Columns as wide as they have to be.
fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let width = |column: usize| {
        let cells = rows
            .iter()
            .chain([&head])
            .map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let mut text = String::new();
    for row in [&head].into_iter().chain(rows) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn log_failure(failure: &TaskFailure) {
    error!("{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let app = routes![sign_up, dashboard].with_state(background.clone());
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

/// What the first table is to be when the tasks of one sign-up have run.
const AFTERWARDS: &str = "\
tasks      count
accepted   4
pending    1
running    0
completed  2
failed     1
skipped    0
aborted    0
retries    2
";

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::get("/dashboard").answered_with(200, "accepted   0\n"),
        Request::post("/sign-up")
            .json(&json!("ada@example.com"))
            .answered(200)
            .then(&[
                "ada.png drawn",
                "mail sent to ada@example.com",
                "no server takes sales@example.invalid (attempt 1, it will run again)",
                "no server takes sales@example.invalid (attempt 2, it will run again)",
                "no server takes sales@example.invalid",
            ]),
        Request::get("/dashboard").answered_with(200, AFTERWARDS),
        Step::ctrl_c().then(&[
            "background task mail.remind",
            "2 completed, 1 failed, 0 skipped, 1 aborted",
        ]),
    ];
    examples::run("dashboard", script, serve).await
}
