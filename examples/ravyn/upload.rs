//! "File Upload Processing": the file is saved while the client waits, and looked at afterwards. The
//! answer says so: 202 Accepted.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use axum::{Json, body::Bytes, http::StatusCode, response::IntoResponse};
use bg_runtime::{background_task, post};
use serde_json::json;
use tracing::{error, info};

/// Resizes an image, or looks for viruses. Not `async`: this is work for the blocking pool.
#[background_task]
fn process_uploaded_file(path: &Path, filename: &str, user_id: u64) -> io::Result<()> {
    let length = fs::metadata(path)?.len();
    info!("processing {filename} for user {user_id}: {length} bytes");
    fs::remove_file(path)
}

#[post("/upload/{user_id}/{filename}")]
pub(crate) async fn upload_file(
    user_id: u64,
    filename: String,
    content: Bytes,
) -> impl IntoResponse {
    let path = new_path();
    tokio::fs::write(&path, content).await.map_err(|error| {
        error!("{filename} was not saved: {error}");
        StatusCode::INTERNAL_SERVER_ERROR
    })?;

    let answer = json!({ "message": "File uploaded, processing started", "file": filename });
    let task = ProcessUploadedFile::new(path, filename, user_id);
    Ok::<_, StatusCode>((StatusCode::ACCEPTED, task, Json(answer)))
}

/// A path for one upload. The client's own name for the file cannot be trusted as a path.
fn new_path() -> PathBuf {
    static UPLOADS: AtomicU64 = AtomicU64::new(1);
    let upload = UPLOADS.fetch_add(1, Ordering::Relaxed);
    env::temp_dir().join(format!("upload-{}-{upload}", process::id()))
}
