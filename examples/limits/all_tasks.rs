//! `max_concurrent` and `max_pending` of the `Background`, which `main.rs` sets to three and four:
//! they protect this process.

use std::time::Duration;

use axum::http::StatusCode;
use bg_runtime::{BackgroundTasks, background_task, post};
use tokio::{sync::Semaphore, time::sleep};
use tracing::info;

/// Stands for the memory, which is enough for three tasks.
static MEMORY: Semaphore = Semaphore::const_new(3);

#[background_task]
async fn send_digest(user: u32) -> Result<(), &'static str> {
    let _memory = MEMORY.try_acquire().map_err(|_| "out of memory")?;
    sleep(Duration::from_millis(100)).await;
    info!("digest sent to user {user}");
    Ok(())
}

// Nothing runs before the response is out, so all of them would wait. The fifth is refused.
#[post("/all-tasks/digests")]
pub(crate) async fn send_digests() -> (StatusCode, BackgroundTasks) {
    let tasks = BackgroundTasks::concurrent();
    for user in 1..=5 {
        tasks.add_task(SendDigest::new(user));
    }
    (StatusCode::ACCEPTED, tasks)
}
