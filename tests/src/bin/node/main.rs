//! One process of several that share a store of durable tasks: a server or a worker, to be killed.

use std::time::Duration;

use axum::http::StatusCode;
use bg_runtime::{TaskContext, background_task, post, routes};
use tests::durable::Pen;

/// Proves that it was run, and takes its time.
#[background_task(durable, name = "node.prove", retries = 0)]
async fn prove(number: u64, millis: u64, #[state] pen: Pen, #[context] cx: TaskContext) {
    let attempt = cx.attempt();
    pen.begun(number, attempt);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    pen.ended(number, attempt);
}

/// Fails each time but the last.
#[background_task(durable, name = "node.fail", retries = 2, backoff = "10ms")]
async fn fail(
    number: u64,
    #[state] pen: Pen,
    #[context] cx: TaskContext,
) -> Result<(), &'static str> {
    let attempt = cx.attempt();
    pen.begun(number, attempt);
    if fastrand::u8(..3) > 0 {
        return Err("not this time");
    }
    pen.ended(number, attempt);
    Ok(())
}

#[post("/prove/{number}/{millis}", background = Prove::new(number, millis))]
async fn store_proof(number: u64, millis: u64) -> StatusCode {
    let _ = (number, millis);
    StatusCode::CREATED
}

#[post("/fail/{number}", background = Fail::new(number))]
async fn store_failure(number: u64) -> StatusCode {
    let _ = number;
    StatusCode::CREATED
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tests::durable::run(routes![store_proof, store_failure], |builder, _| builder).await
}
