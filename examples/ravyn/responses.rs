//! "Adding Tasks Via Response": tasks that are part of the answer. They run after every status.

use axum::{Json, response::IntoResponse};
use bg_runtime::{BackgroundTasks, WithBackground, background_task, post, tasks};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

#[background_task]
fn send_email(to: &str) {
    info!("email to {to} sent");
}

#[background_task]
fn log_event(event: &str) {
    info!("event logged: {event}");
}

// Multiple tasks, made with `tasks!`.

#[derive(Deserialize)]
pub(crate) struct Registration {
    email: String,
}

#[post("/responses/register")]
pub(crate) async fn register(Json(form): Json<Registration>) -> impl IntoResponse {
    let tasks = tasks![
        SendEmail::new(&form.email),
        LogEvent::new("user_registered")
    ];
    Json(json!({ "registered": form.email })).with_background(tasks)
}

// A single task: one more part of the response, like a status or a header.

#[derive(Deserialize)]
pub(crate) struct Notification {
    user_id: u64,
    message: String,
}

#[background_task]
fn send_notification(user_id: u64, message: &str) {
    info!("notification to user {user_id}: {message}");
}

#[post("/responses/notify")]
pub(crate) async fn notify_user(Json(form): Json<Notification>) -> impl IntoResponse {
    let task = SendNotification::new(form.user_id, form.message);
    (task, Json(json!({ "status": "notification queued" })))
}

// A list is a part of the response as well.

#[derive(Deserialize)]
pub(crate) struct Order {
    user_id: u64,
    email: String,
}

#[background_task]
fn update_database(user_id: u64) {
    info!("database updated for user {user_id}");
}

#[post("/responses/process")]
pub(crate) async fn process_order(Json(order): Json<Order>) -> (BackgroundTasks, Json<Value>) {
    let tasks = tasks![
        SendEmail::new(order.email),
        UpdateDatabase::new(order.user_id),
        LogEvent::new("order_processed"),
    ];
    (tasks, Json(json!({ "status": "processing" })))
}
