//! The release of a program that follows `deploy_old`: see `tests/durable/deploy.rs`.

use axum::http::StatusCode;
use bg_runtime::{TaskContext, background_task, post, routes};
use serde::{Deserialize, Serialize};
use tests::durable::Pen;

/// Has another parameter.
#[background_task(durable, name = "deploy.welcome", retries = 0)]
async fn welcome(to: String, #[default = "en"] language: String, #[state] pen: Pen) {
    pen.write(format_args!("new welcome {to} {language}"));
}

/// Has lost a parameter.
#[background_task(durable, name = "deploy.report", retries = 0)]
async fn report(month: u8, #[state] pen: Pen) {
    pen.write(format_args!("new report {month}"));
}

/// Its parameter has another name.
#[background_task(durable, name = "deploy.remind", retries = 0)]
async fn remind(#[was("email")] to: String, #[state] pen: Pen) {
    pen.write(format_args!("new remind {to}"));
}

/// Has another name itself.
#[background_task(durable, name = "deploy.greet", was = "deploy.hello", retries = 0)]
async fn greet(to: String, #[state] pen: Pen) {
    pen.write(format_args!("new greet {to}"));
}

/// What was a number, and is a text.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Number {
    Text(String),
    Number(u64),
}

/// Its number is a text.
#[background_task(durable, name = "deploy.bill", retries = 0)]
async fn bill(number: Number, #[state] pen: Pen) {
    match number {
        Number::Text(text) => pen.write(format_args!("new bill {text}")),
        Number::Number(number) => pen.write(format_args!("new bill number {number}")),
    }
}

/// Is new, and does not end in its first run.
#[background_task(durable, name = "deploy.survey", retries = 0)]
async fn survey(to: String, #[state] pen: Pen, #[context] cx: TaskContext) {
    pen.write(format_args!("new survey {to} {}", cx.attempt()));
    if to == "slow" && cx.attempt() == 1 {
        std::future::pending::<()>().await;
    }
}

/// Stays as it is, and does not end in its first run.
#[background_task(durable, name = "deploy.export", retries = 0)]
async fn export(name: String, #[state] pen: Pen, #[context] cx: TaskContext) {
    pen.write(format_args!("new export {name} {}", cx.attempt()));
    if cx.attempt() == 1 {
        std::future::pending::<()>().await;
    }
}

#[post("/welcome/{to}", background = Welcome::new(&to))]
async fn store_welcome(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/report/{month}", background = Report::new(month))]
async fn store_report(month: u8) -> StatusCode {
    let _ = month;
    StatusCode::CREATED
}

#[post("/remind/{to}", background = Remind::new(&to))]
async fn store_remind(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/greet/{to}", background = Greet::new(&to))]
async fn store_greet(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/bill/{number}", background = Bill::new(Number::Text(number.clone())))]
async fn store_bill(number: String) -> StatusCode {
    let _ = number;
    StatusCode::CREATED
}

#[post("/export/{name}", background = Export::new(&name))]
async fn store_export(name: String) -> StatusCode {
    let _ = name;
    StatusCode::CREATED
}

#[post("/survey/{to}", background = Survey::new(&to))]
async fn store_survey(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = routes![
        store_welcome,
        store_report,
        store_remind,
        store_greet,
        store_bill,
        store_export,
        store_survey,
    ];
    tests::durable::run(app, |builder, pen| {
        builder.on_error(move |failure| {
            let (name, kind) = (failure.task().name(), failure.kind());
            pen.write(format_args!("new failure {name} {kind:?}"));
        })
    })
    .await
}
