//! The id of a task, as an application and its clients handle it.

use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use bg_runtime::{Background, TaskContext, TaskId, background_task};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tower::ServiceExt;

#[background_task(name = "knows.its.id")]
async fn know_id(expected: std::sync::mpsc::Sender<TaskId>, #[context] cx: TaskContext) {
    expected.send(cx.id()).unwrap();
}

async fn ask(path: &str) -> (StatusCode, String) {
    let app = Router::new().route("/tasks/{id}", get(async |Path(id): Path<TaskId>| Json(id)));
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// P-ID-1
#[tokio::test]
async fn a_handle_its_task_and_a_clients_text_have_the_same_id() {
    let background = Background::builder().build().unwrap();
    let (sender, seen) = std::sync::mpsc::channel();
    let handle = background.spawn(KnowId::new(sender));
    let id = handle.id();
    handle.await.unwrap();
    assert_eq!(seen.recv().unwrap(), id);
    assert_eq!(id.to_string().parse(), Ok(id));
}

/// P-ID-1
#[tokio::test]
async fn an_id_is_read_from_a_path_and_written_as_json() {
    let background = Background::builder().build().unwrap();
    let (sender, _seen) = std::sync::mpsc::channel();
    let id = background.spawn(KnowId::new(sender)).id();
    let answer = ask(&format!("/tasks/{id}")).await;
    assert_eq!(answer, (StatusCode::OK, format!("\"{id}\"")));
}

#[tokio::test]
async fn a_path_that_holds_no_id_is_a_bad_request_that_says_why() {
    let (status, body) = ask("/tasks/42").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body.contains("it has 2 characters instead of 36"), "{body}");
}
