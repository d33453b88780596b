//! "User Registration Flow": an account in one moment, and all that follows from it afterwards.

use axum::{Json, http::StatusCode};
use bg_runtime::{BackgroundTasks, background_task, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

#[derive(Deserialize)]
pub(crate) struct Registration {
    email: String,
    password: String,
}

#[background_task]
async fn send_welcome_email(email: &str) {
    info!("sending welcome email to {email}");
}

#[background_task]
async fn create_user_profile(user_id: u64) {
    info!("creating profile for user {user_id}");
}

#[background_task]
async fn notify_admin(user_email: &str) {
    info!("new user registered: {user_email}");
}

#[post("/registration/register")]
pub(crate) async fn register_user(
    tasks: BackgroundTasks,
    Json(form): Json<Registration>,
) -> (StatusCode, Json<Value>) {
    if form.password.len() < 8 {
        let answer = json!({ "message": "The password is too short" });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(answer));
    }
    let user_id = 123; // from the database

    tasks.add_task(SendWelcomeEmail::new(&form.email));
    tasks.add_task(CreateUserProfile::new(user_id));
    tasks.add_task(NotifyAdmin::new(&form.email));
    let answer = json!({ "user_id": user_id, "message": "Registration successful" });
    (StatusCode::CREATED, Json(answer))
}
