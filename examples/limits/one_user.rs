//! `key`: the exports of one user run in turn, and those of another beside them. One may wait; more
//! are refused, and reported as refused.

use axum::http::StatusCode;
use bg_runtime::{background_task, post};
use tokio::sync::{AcquireError, Semaphore};
use tracing::info;

/// Stands for an archive that is closed, so that there is time to look at what waits for what.
static ARCHIVE: Semaphore = Semaphore::const_new(0);

#[background_task(key = user, max_per_key = 1, max_pending_per_key = 1)]
pub(crate) async fn export(user: &str, year: u32) -> Result<(), AcquireError> {
    info!("export of {user}, {year}: begun");
    let _open = ARCHIVE.acquire().await?;
    info!("export of {user}, {year}: done");
    Ok(())
}

// The client gets 202 even if its export is refused: that turns out afterwards, and is reported.
#[post("/one-user/exports/{user}/{year}")]
pub(crate) async fn start_export(user: String, year: u32) -> (StatusCode, Export) {
    (StatusCode::ACCEPTED, Export::new(user, year))
}

#[post("/one-user/archive")]
pub(crate) async fn open_archive() {
    ARCHIVE.add_permits(100);
}
