//! "Common Pitfalls & Fixes". Long-running jobs are missing here: they belong in a queue of jobs or
//! in a process of their own, as Ravyn's page says too.

use axum::Json;
use bg_runtime::{TaskContext, background_task, get, post};
use serde_json::{Value, json};
use tracing::info;

// "Expecting Return Values": what the answer needs is computed in the handler.

#[background_task]
fn log_calculation(items: &[i64]) {
    info!("total of {items:?} calculated");
}

#[post("/pitfalls/calculate", background = LogCalculation::new(items.clone()))]
pub(crate) async fn calculate(Json(items): Json<Vec<i64>>) -> Json<Value> {
    Json(json!({ "total": items.iter().sum::<i64>() }))
}

// "Not Handling Errors": an error is returned, and reaches the hook of the `Background` with the task,
// its place and its arguments. So does a panic. There is nothing to catch in the task.

#[background_task]
async fn risky_operation(data: Value) -> Result<(), String> {
    let value = data.get("key").ok_or("the key is missing")?;
    info!("the key is {value}");
    Ok(())
}

#[post("/pitfalls/risky", background = RiskyOperation::new(data.clone()))]
pub(crate) async fn risky(Json(data): Json<Value>) -> Json<Value> {
    Json(data)
}

// "Accessing Request After Response": the request is gone, but the task's context knows which it was.

#[background_task]
async fn log_visit(#[context] cx: TaskContext) {
    if let Some(request) = cx.request() {
        info!("visited: {request}");
    }
}

#[get("/pitfalls/visit", background = LogVisit)]
pub(crate) async fn visit() {}
