//! An import, and how its client can follow it.

use std::sync::{Arc, Mutex};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use bg_runtime::{
    Background, BackgroundTasks, Progress, TaskContext, TaskHandle, TaskId, background_task, get,
    post,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tracing::info;

use crate::supplier::{HungUp, Supplier};

/// Starts again if the supplier hangs up, but only once.
#[background_task(retries = 1, backoff = "100ms")]
async fn import(
    articles: u64,
    #[state] supplier: Supplier,
    #[context] cx: TaskContext,
) -> Result<(), HungUp> {
    cx.progress(0, articles, format!("attempt {}", cx.attempt()));
    for done in 1..=articles {
        let article = supplier.next().await?;
        cx.progress(done, articles, format!("{article} imported"));
    }
    Ok(())
}

/// What `GET /imports/{id}` answers.
#[derive(Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub(crate) enum Status {
    Accepted,
    Running {
        done: u64,
        total: u64,
        message: String,
    },
    Done,
    Failed {
        reason: String,
    },
}

impl Status {
    fn running(latest: &Progress) -> Self {
        Self::Running {
            done: latest.done(),
            total: latest.total(),
            message: latest.message().to_owned(),
        }
    }
}

/// The task of each import, by which the library knows how far it has come, and how it has ended. In memory, as the
/// tasks are: a restart forgets both.
#[derive(Clone)]
pub(crate) struct Imports {
    background: Background,
    tasks: Arc<Mutex<Vec<TaskId>>>,
}

impl Imports {
    pub(crate) fn new(background: Background) -> Self {
        Self {
            background,
            tasks: Arc::default(),
        }
    }

    /// Adds an import, and returns its number.
    fn add(&self, task: TaskId) -> usize {
        let mut tasks = self.tasks.lock().unwrap();
        tasks.push(task);
        tasks.len()
    }

    fn status(&self, import: usize) -> Option<Status> {
        let index = import.checked_sub(1)?;
        let task = *self.tasks.lock().unwrap().get(index)?;
        // First the handle: an import that is just about to end is not missed.
        if let Some(handle) = self.background.handle(task) {
            let latest = handle.latest();
            return Some(latest.as_ref().map_or(Status::Accepted, Status::running));
        }
        Some(match self.background.outcome(task)? {
            Ok(()) => Status::Done,
            Err(failure) => Status::Failed {
                reason: failure.error().to_string(),
            },
        })
    }
}

/// Listens to one import for as long as it goes on.
async fn follow(import: usize, handle: TaskHandle) {
    let mut progress = handle.progress();
    while let Some(latest) = progress.next().await {
        info!("import {import}: {latest}");
    }
    match handle.await {
        Ok(()) => info!("import {import}: done"),
        Err(_) => info!("import {import}: failed"),
    }
}

#[derive(Deserialize)]
pub(crate) struct NewImport {
    articles: u64,
}

#[post("/imports")]
pub(crate) async fn start_import(
    State(imports): State<Imports>,
    tasks: BackgroundTasks,
    Json(new): Json<NewImport>,
) -> impl IntoResponse {
    let handle = tasks.add_tracked(Import::new(new.articles));
    let id = imports.add(handle.id());
    tokio::spawn(follow(id, handle));
    let location = [(LOCATION, format!("/imports/{id}"))];
    (StatusCode::ACCEPTED, location, Json(json!({ "id": id })))
}

#[get("/imports/{id}")]
pub(crate) async fn show_import(
    id: usize,
    State(imports): State<Imports>,
) -> Result<Json<Status>, StatusCode> {
    imports.status(id).map(Json).ok_or(StatusCode::NOT_FOUND)
}
