//! The application under test. Nothing in it knows of tests.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Json, Router, extract::State, http::StatusCode};
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, TaskExt, background_task, named, post, routes,
};
use serde::Deserialize;

/// Stands for the client of a mail service, and for the fake that tests put in its place.
#[derive(Clone, Default)]
pub(crate) struct Mailer(Arc<Mutex<Service>>);

#[derive(Default)]
struct Service {
    /// How often it still refuses a mail.
    busy: u32,
    sent: Vec<String>,
}

impl Mailer {
    pub(crate) fn busy(times: u32) -> Self {
        let service = Service {
            busy: times,
            ..Service::default()
        };
        Self(Arc::new(Mutex::new(service)))
    }

    async fn send(&self, mail: String) -> Result<(), &'static str> {
        tokio::task::yield_now().await;
        let mut service = self.0.lock().unwrap();
        if service.busy > 0 {
            service.busy -= 1;
            return Err("the mail service is busy");
        }
        service.sent.push(mail);
        Ok(())
    }

    pub(crate) fn sent(&self) -> Vec<String> {
        self.0.lock().unwrap().sent.clone()
    }
}

#[background_task(retries = 2, backoff = "10s..10m")]
pub(crate) async fn send_receipt(
    to: &str,
    order: u64,
    #[state] mailer: Mailer,
) -> Result<(), &'static str> {
    mailer
        .send(format!("receipt of order {order} to {to}"))
        .await
}

#[background_task]
pub(crate) async fn ask_for_review(to: &str, #[state] mailer: Mailer) -> Result<(), &'static str> {
    mailer.send(format!("how was it? to {to}")).await
}

#[background_task]
pub(crate) fn refresh_stock() {}

#[derive(Deserialize)]
pub(crate) struct Order {
    email: String,
    quantity: u32,
}

#[post("/orders", background = SendReceipt::new(&order.email, 7))]
pub(crate) async fn place_order(tasks: BackgroundTasks, Json(order): Json<Order>) -> StatusCode {
    tasks.add_task(AskForReview::new(&order.email).delay(Duration::from_secs(3600)));
    if order.quantity == 0 {
        return StatusCode::UNPROCESSABLE_ENTITY;
    }
    if order.quantity >= 100 {
        tasks.add_task(named("tell-sales", async {}));
    }
    StatusCode::CREATED
}

#[post("/stock")]
pub(crate) async fn stock_changed(State(background): State<Background>) {
    background.spawn(RefreshStock);
}

/// What `main` builds its `Background` with.
pub(crate) fn builder(mailer: Mailer) -> BackgroundBuilder {
    Background::builder().state(mailer)
}

/// What `main` serves.
pub(crate) fn app(background: Background) -> Router {
    routes![place_order, stock_changed].with_state(background)
}
