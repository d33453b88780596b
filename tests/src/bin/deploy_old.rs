//! A release of a program, of which `deploy_new` is the next one: see `tests/durable/deploy.rs`.

use axum::http::StatusCode;
use bg_runtime::{TaskContext, background_task, post, routes};
use tests::durable::Pen;

/// Gets another parameter.
#[background_task(durable, name = "deploy.welcome", retries = 0)]
async fn welcome(to: String, #[state] pen: Pen) {
    pen.write(format_args!("old welcome {to}"));
}

/// Loses a parameter.
#[background_task(durable, name = "deploy.report", retries = 0)]
async fn report(month: u8, draft: bool, #[state] pen: Pen) {
    pen.write(format_args!("old report {month} {draft}"));
}

/// Its parameter gets another name.
#[background_task(durable, name = "deploy.remind", retries = 0)]
async fn remind(email: String, #[state] pen: Pen) {
    pen.write(format_args!("old remind {email}"));
}

/// Gets another name itself.
#[background_task(durable, name = "deploy.hello", retries = 0)]
async fn hello(to: String, #[state] pen: Pen) {
    pen.write(format_args!("old hello {to}"));
}

/// Its number becomes a text.
#[background_task(durable, name = "deploy.bill", retries = 0)]
async fn bill(number: u64, #[state] pen: Pen) {
    pen.write(format_args!("old bill {number}"));
}

/// Stays as it is, and does not end in its first run.
#[background_task(durable, name = "deploy.export", retries = 0)]
async fn export(name: String, #[state] pen: Pen, #[context] cx: TaskContext) {
    pen.write(format_args!("old export {name} {}", cx.attempt()));
    if cx.attempt() == 1 {
        std::future::pending::<()>().await;
    }
}

#[post("/welcome/{to}", background = Welcome::new(&to))]
async fn store_welcome(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/report/{month}", background = Report::new(month, true))]
async fn store_report(month: u8) -> StatusCode {
    let _ = month;
    StatusCode::CREATED
}

#[post("/remind/{to}", background = Remind::new(&to))]
async fn store_remind(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/hello/{to}", background = Hello::new(&to))]
async fn store_hello(to: String) -> StatusCode {
    let _ = to;
    StatusCode::CREATED
}

#[post("/bill/{number}", background = Bill::new(number))]
async fn store_bill(number: u64) -> StatusCode {
    let _ = number;
    StatusCode::CREATED
}

#[post("/export/{name}", background = Export::new(&name))]
async fn store_export(name: String) -> StatusCode {
    let _ = name;
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = routes![
        store_welcome,
        store_report,
        store_remind,
        store_hello,
        store_bill,
        store_export,
    ];
    tests::durable::run(app, |builder, pen| {
        builder.on_error(move |failure| {
            let (name, kind) = (failure.task().name(), failure.kind());
            pen.write(format_args!("old failure {name} {kind:?}"));
        })
    })
    .await
}
