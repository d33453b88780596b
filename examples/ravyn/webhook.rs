//! "Webhook Notifications": the order is answered at once; the shop that wants to know of it is
//! told afterwards, by an HTTP request from this server.

use std::io;

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing};
use bg_runtime::{background_task, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

#[derive(Deserialize)]
pub(crate) struct Order {
    item: String,
    quantity: u32,
    webhook_url: String,
}

#[background_task(timeout = "10s")]
async fn send_webhook(url: &str, data: Value) -> io::Result<()> {
    let status = examples::post_json(url, &data).await?;
    info!("webhook sent, and answered with {status}");
    Ok(())
}

// As on Ravyn's page, the URL comes with the order. If any client may order, take it from a list of
// your own: a URL from outside can point at any machine that the server reaches.
#[post("/webhook/orders")]
pub(crate) async fn create_order(Json(order): Json<Order>) -> impl IntoResponse {
    let order_id = 456; // from the database

    let data = json!({ "order_id": order_id, "item": order.item, "quantity": order.quantity });
    (
        StatusCode::CREATED,
        SendWebhook::new(order.webhook_url, data),
        Json(json!({ "order_id": order_id, "status": "created" })),
    )
}

/// Starts a server that stands for the shop's, and gives the URL of its webhook.
pub(crate) async fn start_receiver() -> io::Result<String> {
    async fn receive(Json(data): Json<Value>) -> StatusCode {
        info!("webhook received: {data}");
        StatusCode::NO_CONTENT
    }

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let app = Router::new().route("/webhook", routing::post(receive));
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(format!("http://{address}/webhook"))
}
