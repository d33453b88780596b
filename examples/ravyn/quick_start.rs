//! "Quick Start": the account is saved while the client waits; the mail, which is slow, goes out
//! when the client has its answer.

use std::time::Duration;

use axum::{Json, response::IntoResponse};
use bg_runtime::{background_task, post};
use serde::Deserialize;
use serde_json::json;
use tokio::time::sleep;
use tracing::info;

#[derive(Deserialize)]
pub(crate) struct Registration {
    email: String,
}

/// Runs after the response is sent.
#[background_task]
async fn send_welcome_email(email: &str) {
    sleep(Duration::from_millis(200)).await;
    info!("welcome email to {email} sent");
}

#[post("/quick-start/register")]
pub(crate) async fn register_user(Json(form): Json<Registration>) -> impl IntoResponse {
    let user_id = 123;
    (
        SendWelcomeEmail::new(form.email),
        Json(json!({ "user_id": user_id, "message": "Registration successful" })),
    )
}
