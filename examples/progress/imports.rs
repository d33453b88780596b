//! An import, and how its client can follow it.

use std::sync::{Arc, Mutex};

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::IntoResponse,
};
use bg_runtime::{Background, TaskContext, TaskHandle, background_task, get, post};
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
#[derive(Clone, Serialize)]
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

/// All imports, as far as they have come. In memory, as the tasks are: a restart forgets both.
#[derive(Clone)]
pub(crate) struct Imports {
    background: Background,
    statuses: Arc<Mutex<Vec<Status>>>,
}

impl Imports {
    pub(crate) fn new(background: Background) -> Self {
        Self {
            background,
            statuses: Arc::default(),
        }
    }

    /// Starts an import, and returns its id.
    fn start(&self, articles: u64) -> usize {
        let id = {
            let mut statuses = self.statuses.lock().unwrap();
            statuses.push(Status::Accepted);
            statuses.len()
        };
        let handle = self.background.spawn(Import::new(articles));
        tokio::spawn(self.clone().follow(id, handle));
        id
    }

    /// Listens to one import for as long as it goes on, and keeps its latest progress for every
    /// request.
    async fn follow(self, id: usize, handle: TaskHandle) {
        let mut progress = handle.progress();
        while let Some(latest) = progress.next().await {
            let running = Status::Running {
                done: latest.done(),
                total: latest.total(),
                message: latest.message().to_owned(),
            };
            self.set(id, running);
            info!("import {id}: {latest}");
        }
        match handle.await {
            Ok(()) => {
                self.set(id, Status::Done);
                info!("import {id}: done");
            }
            Err(failure) => {
                let reason = failure.error().to_string();
                self.set(id, Status::Failed { reason });
                info!("import {id}: failed");
            }
        }
    }

    fn set(&self, id: usize, status: Status) {
        self.statuses.lock().unwrap()[id - 1] = status;
    }

    fn status(&self, id: usize) -> Option<Status> {
        let index = id.checked_sub(1)?;
        self.statuses.lock().unwrap().get(index).cloned()
    }
}

#[derive(Deserialize)]
pub(crate) struct NewImport {
    articles: u64,
}

// Spawned, and not added to the request's list, because only that gives a handle to listen to. So the
// import does not wait for the answer.
#[post("/imports")]
pub(crate) async fn start_import(
    State(imports): State<Imports>,
    Json(new): Json<NewImport>,
) -> impl IntoResponse {
    let id = imports.start(new.articles);
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
