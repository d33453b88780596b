//! "Async and Sync Functions": both are tasks. One that is not `async` runs on the blocking pool,
//! where it may take its time without holding anything up.

use std::{thread, time::Duration};

use axum::{Json, response::IntoResponse};
use bg_runtime::{WithBackground, background_task, post, tasks};
use serde_json::json;
use tokio::time::sleep;
use tracing::info;

#[background_task]
fn sync_task(message: &str) {
    thread::sleep(Duration::from_millis(100));
    info!("sync: {message}");
}

#[background_task]
async fn async_task(message: &str) {
    sleep(Duration::from_millis(100)).await;
    info!("async: {message}");
}

#[post("/sync-and-async/mixed")]
pub(crate) async fn mixed() -> impl IntoResponse {
    let tasks = tasks![SyncTask::new("Hello"), AsyncTask::new("World")];
    Json(json!({ "status": "ok" })).with_background(tasks)
}
