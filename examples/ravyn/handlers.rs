//! "Adding Tasks Via Handlers": tasks in the route's attribute. They see the handler's arguments.

use axum::Json;
use bg_runtime::{background_task, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

// A single task.

#[derive(Deserialize)]
pub(crate) struct NewUser {
    name: String,
}

#[background_task]
fn log_request(endpoint: &str) {
    info!("request to {endpoint} completed");
}

#[post("/handlers/users", background = LogRequest::new("/users"))]
pub(crate) async fn create_user(Json(user): Json<NewUser>) -> Json<Value> {
    Json(json!({ "created": user.name }))
}

// Multiple tasks: one after the other, in this order.

#[derive(Deserialize)]
pub(crate) struct Registration {
    email: String,
}

#[background_task]
fn send_email(to: &str) {
    info!("email to {to} sent");
}

#[background_task]
fn log_event(event: &str) {
    info!("event logged: {event}");
}

#[background_task]
fn update_analytics() {
    info!("analytics updated");
}

#[post("/handlers/register", background = [
    SendEmail::new(&form.email),
    LogEvent::new("user_registered"),
    UpdateAnalytics,
])]
pub(crate) async fn register(Json(form): Json<Registration>) -> Json<Value> {
    Json(json!({ "registered": form.email }))
}
