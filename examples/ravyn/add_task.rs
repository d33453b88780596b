//! "Using `add_task` Method": which tasks there are depends on the request.

use axum::Json;
use bg_runtime::{BackgroundTasks, background_task, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

#[derive(Deserialize)]
pub(crate) struct Action {
    user_email: String,
    action_type: String,
}

#[background_task]
async fn send_email(to: &str, subject: &str) {
    info!("email to {to}: {subject}");
}

#[background_task]
async fn write_log(message: &str) {
    info!("log: {message}");
}

// Ravyn's handler makes the list and returns it. Here it is the request's own, and an argument.
#[post("/add-task/action")]
pub(crate) async fn perform_action(
    tasks: BackgroundTasks,
    Json(Action {
        user_email,
        action_type,
    }): Json<Action>,
) -> Json<Value> {
    if action_type == "important" {
        tasks.add_task(SendEmail::new(&user_email, "Important Action"));
        tasks.add_task(WriteLog::new(format!("important action by {user_email}")));
    } else {
        tasks.add_task(WriteLog::new(format!("regular action by {user_email}")));
    }
    Json(json!({ "status": "completed" }))
}
