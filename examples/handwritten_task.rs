//! A task without `#[background_task]`: a type of your own with `impl Task`, for what a function
//! cannot say. This one is an enum.
//!
//! ```text
//! cargo run --example handwritten_task                    # serves on 127.0.0.1:3000, and prints what to try
//! cargo run --example handwritten_task -- 127.0.0.1:8080  # the same, on another address
//! cargo run --example handwritten_task -- --once          # tries it all itself, then exits
//! ```

use std::{error::Error, fmt, process::ExitCode, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use bg_runtime::{
    Background, ShutdownReport, StateDef, Task, TaskContext, TaskDef, TaskFailure, TaskResult, get,
    post, register, routes,
};
use examples::{Request, Step, Stop, Wire};
use serde::Deserialize;
use serde_json::json;
use tracing::{error, info};

/// Stands for the client of a service that delivers messages.
#[derive(Clone)]
struct Gateway {
    sender: &'static str,
}

/// Tells a customer that something is on its way, as the customer wishes to be told.
#[derive(Debug, Clone, Deserialize)]
enum Announce {
    ByMail { to: String },
    ByText { number: String },
}

impl Task for Announce {
    // What is known without an instance. `build()` checks it, and reports show it.
    const DEF: &'static TaskDef = &TaskDef::new("parcels.announce")
        .docs("Tells a customer that something is on its way.")
        .timeout(Duration::from_secs(5))
        .states(&[StateDef::of::<Gateway>("gateway")]);

    async fn run(self, cx: TaskContext) -> TaskResult {
        let gateway: Gateway = cx.state("gateway")?;
        match self {
            Self::ByMail { to } => info!("mail from {} to {to}", gateway.sender),
            Self::ByText { number } if number.starts_with('+') => {
                info!("text from {} to {number}", gateway.sender);
            }
            Self::ByText { number } => return Err(format!("{number} has no country code").into()),
        }
        Ok(())
    }

    // What reports of failures show of the instance. Without this, nothing.
    fn arguments(&self) -> Option<impl fmt::Debug> {
        Some(self)
    }
}

// Makes the task known to `build()` and `tasks()`, and a part of responses.
register!(Announce);

// It is attached like any other: to a route, in a handler, or to a response as here.
#[post("/parcels")]
async fn send_parcel(Json(announce): Json<Announce>) -> (StatusCode, Announce) {
    (StatusCode::ACCEPTED, announce)
}

#[get("/tasks")]
async fn list_tasks(State(background): State<Background>) -> String {
    let lines = background.tasks().into_iter();
    lines
        .map(|task| format!("{task}: {}\n", task.docs()))
        .collect()
}

fn log_failure(failure: &TaskFailure) {
    error!(arguments = failure.arguments(), "{failure}");
}

async fn serve(listener: Wire, stop: Stop) -> Result<ShutdownReport, Box<dyn Error>> {
    let background = Background::builder()
        .state(Gateway { sender: "the shop" })
        .log_failures(false)
        .on_error(log_failure)
        .build()?;
    let app = routes![send_parcel, list_tasks].with_state(background.clone());
    let server = background.serve(listener, app);
    Ok(server.with_graceful_shutdown(stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let script = vec![
        Request::post("/parcels")
            .json(&json!({ "ByMail": { "to": "ada@example.com" } }))
            .answered(202)
            .then(&["mail from the shop to ada@example.com"]),
        Request::post("/parcels")
            .json(&json!({ "ByText": { "number": "+44 20 7946 0958" } }))
            .answered(202)
            .then(&["text from the shop to +44 20 7946 0958"]),
        Request::post("/parcels")
            .json(&json!({ "ByText": { "number": "7946 0958" } }))
            .answered(202)
            .then(&["failed: 7946 0958 has no country code"]),
        Request::get("/tasks").answered(200),
        Step::ctrl_c().then(&["2 completed, 1 failed, 0 skipped, 0 aborted"]),
    ];
    examples::run("handwritten_task", script, serve).await
}
