//! Routes by which an orchestrator asks whether this process works.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::StatusCode;

use crate::log_target::RUNTIME;
use crate::run::Runner;

/// `/livez` says that the process answers, and `/readyz` that it can do its work.
pub(crate) fn health<S: Clone + Send + Sync + 'static>(runner: Arc<Runner>) -> Router<S> {
    let live = || async { StatusCode::OK };
    let ready = move || {
        let runner = runner.clone();
        async move { readiness(&runner).await }
    };
    Router::new()
        .route("/livez", get(live))
        .route("/readyz", get(ready))
}

async fn readiness(runner: &Runner) -> (StatusCode, &'static str) {
    if runner.stopping(runner.signals()).is_cancelled() || runner.is_shut_down() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping");
    }
    if let Some(store) = runner.store() {
        if let Err(error) = store.check().await {
            // The reason is not the client's business.
            tracing::warn!(target: RUNTIME, %error, "not ready: the store of durable tasks does not answer");
            return (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer");
        }
    }
    (StatusCode::OK, "ready")
}
