//! The tests. Each needs no server, no sleep, and nothing global.

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header::CONTENT_TYPE},
};
use bg_runtime::{FailureKind, testing::Recorder};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::shop::{AskForReview, Mailer, RefreshStock, SendReceipt, app, builder, send_receipt};

/// Sends a request to the app, which is no more than a function, and returns the status of the
/// answer.
async fn post(app: &Router, path: &str, json: Value) -> StatusCode {
    let request = Request::post(path)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(json.to_string()))
        .unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

fn order(quantity: u32) -> Value {
    json!({ "email": "ada@example.com", "quantity": quantity })
}

/// The app with a recorder in place of its `Background`. The states are for `run_all` only; for tests
/// that run nothing, `Recorder::new()` will do.
fn recorded(mailer: &Mailer) -> (Router, Recorder) {
    let recorder = Recorder::from_builder(builder(mailer.clone())).unwrap();
    let app = app(recorder.clone()).layer(recorder.layer());
    (app, recorder)
}

/// What a task does: its function is a function. State is an argument.
pub(crate) async fn a_receipt_names_the_order() {
    let mailer = Mailer::default();
    send_receipt("ada@example.com", 7, mailer.clone())
        .await
        .unwrap();
    assert_eq!(mailer.sent(), ["receipt of order 7 to ada@example.com"]);
}

/// What a handler queues: the task is compared with the one that the handler should have made.
pub(crate) async fn an_order_queues_its_receipt() {
    let (app, recorder) = recorded(&Mailer::default());
    assert_eq!(post(&app, "/orders", order(1)).await, StatusCode::CREATED);
    recorder.assert_queued(SendReceipt::new("ada@example.com", 7));
    recorder.assert_not_queued::<RefreshStock>();
}

/// The tasks can be looked at one by one, in the order in which they would run. A one-off task has a
/// name and no type.
pub(crate) async fn sales_are_told_of_a_large_order() {
    let (app, recorder) = recorded(&Mailer::default());
    post(&app, "/orders", order(100)).await;
    assert_eq!(recorder.queued::<SendReceipt>()[0].order, 7);
    assert_eq!(
        recorder.names(),
        [
            "testing::shop::send_receipt",
            "testing::shop::ask_for_review",
            "tell-sales"
        ]
    );
    // A test can take out what it has seen, to ask what else there is.
    assert_eq!(recorder.take::<AskForReview>().len(), 1);
    recorder.assert_not_queued::<AskForReview>();
}

/// A failed request has its tasks skipped, those of the route and of the handler.
pub(crate) async fn an_empty_order_queues_nothing() {
    let (app, recorder) = recorded(&Mailer::default());
    let status = post(&app, "/orders", order(0)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    recorder.assert_nothing_queued();
}

/// A recorder is a `Background`, so it sees what the app spawns as well.
pub(crate) async fn a_new_stock_is_read_again() {
    let (app, recorder) = recorded(&Mailer::default());
    post(&app, "/stock", Value::Null).await;
    recorder.assert_queued(RefreshStock);
}

/// Both together: `run_all` runs what is queued, here and in order. It waits for no delay and no
/// backoff.
pub(crate) async fn a_busy_mail_service_gets_the_mails_later() {
    let mailer = Mailer::busy(2);
    let (app, recorder) = recorded(&mailer);
    post(&app, "/orders", order(1)).await;

    let failures = recorder.run_all().await;
    assert!(failures.is_empty(), "the third attempt succeeds");
    assert_eq!(
        mailer.sent(),
        [
            "receipt of order 7 to ada@example.com",
            "how was it? to ada@example.com"
        ]
    );
    assert_eq!(recorder.stats().retries, 2);
}

/// `run_all` returns the failures. One ends its own list only: the receipt is the route's task, and
/// the review the handler's.
pub(crate) async fn a_receipt_that_cannot_be_sent_is_given_up() {
    let mailer = Mailer::busy(3);
    let (app, recorder) = recorded(&mailer);
    post(&app, "/orders", order(1)).await;

    let failures = recorder.run_all().await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].kind(), FailureKind::Error);
    assert_eq!(failures[0].attempt(), 3);
    assert_eq!(failures[0].error().to_string(), "the mail service is busy");
    assert_eq!(mailer.sent(), ["how was it? to ada@example.com"]);
}

/// A `Background` in place of the recorder: without a server, a response counts as sent when it is
/// dropped, and a shutdown waits for the tasks.
pub(crate) async fn a_receipt_is_sent_before_the_program_ends() {
    let mailer = Mailer::default();
    let background = builder(mailer.clone()).build().unwrap();
    let app = app(background.clone()).layer(background.layer());
    post(&app, "/orders", order(1)).await;

    let report = background.shutdown().await;
    assert_eq!(mailer.sent(), ["receipt of order 7 to ada@example.com"]);
    // It waits for no task whose delay is longer than its own patience.
    let unfinished = report.unfinished();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].task().name(), "testing::shop::ask_for_review");
}
