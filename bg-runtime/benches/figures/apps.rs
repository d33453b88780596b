//! The application that is measured, twice: as it is written with axum alone, and with the
//! attributes.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::routing;
use bg_runtime::{background_task, get, routes};

/// What a request to the application leaves to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    NoTask,
    OneTask,
    ThreeTasks,
}

impl Route {
    pub(crate) const ALL: [Self; 3] = [Self::NoTask, Self::OneTask, Self::ThreeTasks];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::NoTask => "/none",
            Self::OneTask => "/one",
            Self::ThreeTasks => "/three",
        }
    }

    pub(crate) fn tasks(self) -> u64 {
        match self {
            Self::NoTask => 0,
            Self::OneTask => 1,
            Self::ThreeTasks => 3,
        }
    }
}

static VISITS: AtomicU64 = AtomicU64::new(0);

/// How many tasks have run.
pub(crate) fn visits() -> u64 {
    VISITS.load(Ordering::Relaxed)
}

/// The task: next to nothing, so that what is measured is the way there.
#[background_task]
pub(crate) async fn count_visit() {
    VISITS.fetch_add(1, Ordering::Relaxed);
}

#[get("/none")]
async fn no_task() -> &'static str {
    "hello"
}

#[get("/one", background = CountVisit)]
async fn one_task() -> &'static str {
    "hello"
}

#[get("/three", background = [CountVisit, CountVisit, CountVisit])]
async fn three_tasks() -> &'static str {
    "hello"
}

/// With the attributes.
pub(crate) fn ours() -> Router {
    routes![no_task, one_task, three_tasks]
}

/// With axum alone: what is to be done later is spawned in the handler.
pub(crate) fn plain() -> Router {
    let spawn = |tasks: u64| {
        routing::get(async move || {
            for _ in 0..tasks {
                tokio::spawn(count_visit());
            }
            "hello"
        })
    };
    Route::ALL.into_iter().fold(Router::new(), |app, route| {
        app.route(route.path(), spawn(route.tasks()))
    })
}
