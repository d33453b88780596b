//! `max_concurrent` of a task: it protects the service that the task talks to.

use std::time::Duration;

use axum::{Json, http::StatusCode};
use bg_runtime::{BackgroundTasks, background_task, post};
use tokio::{sync::Semaphore, time::sleep};
use tracing::info;

/// Stands for a supplier who takes two requests at a time, and refuses a third.
static SUPPLIER: Semaphore = Semaphore::const_new(2);

#[background_task(max_concurrent = 2, timeout = "10s")]
async fn fetch_price(article: String) -> Result<(), &'static str> {
    let _request = SUPPLIER.try_acquire().map_err(|_| "too many requests")?;
    sleep(Duration::from_millis(100)).await;
    info!("price of {article} fetched");
    Ok(())
}

// All at the same time, as far as the task allows it: two, and then the other two.
#[post("/one-task/prices")]
pub(crate) async fn refresh_prices(
    Json(articles): Json<Vec<String>>,
) -> (StatusCode, BackgroundTasks) {
    let tasks = BackgroundTasks::concurrent();
    for article in articles {
        tasks.add_task(FetchPrice::new(article));
    }
    (StatusCode::ACCEPTED, tasks)
}
