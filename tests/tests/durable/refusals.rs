//! What the log is told of a task that an endpoint could not store.

use std::time::Duration;

use axum::response::IntoResponse;
use bg_runtime::TaskExt;
use bg_runtime::durable::EnqueueError;
use tests::durable::Place;
use tests::logs;

use crate::tasks::{Export, Lab, Note};

/// P-DURABLE-63
#[tokio::test]
async fn a_client_that_asks_too_often_is_told_so_and_fills_no_log() {
    logs::keep();
    let lab = Lab::new();
    let background = lab.background(&Place::memory());
    let enough = ["chatty", "chatty"].map(Export::new);
    background.enqueue_all(enough).await.unwrap();
    let full = background.enqueue(Export::new("chatty")).await;
    background
        .enqueue(Note::new("once").unique())
        .await
        .unwrap();
    let twice = background.enqueue(Note::new("once").unique()).await;
    for (refused, status) in [(full, 429), (twice, 409)] {
        let error = refused.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.into_response().status(), status);
        assert!(logs::lines_with(&text).is_empty(), "{text}");
    }
    // Others are for whoever runs the service.
    let after = Duration::from_secs(4321);
    let error = EnqueueError::Timeout { after };
    let text = error.to_string();
    assert_eq!(error.into_response().status(), 503);
    let logged = logs::lines_with(&text);
    assert!(
        logged.iter().any(|line| line.contains("ERROR")),
        "{logged:?}"
    );
}
