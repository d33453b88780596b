//! Everything that is wrong with the tasks of a program is reported when it starts, all at once.
//!
//! A program of its own: its tasks have mistakes.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use bg_runtime::{Background, MissingState, TaskFailure, background_task, get, routes};
use tests::{eventually, logs};
use tower::ServiceExt;

#[derive(Clone)]
struct Mailer;

#[derive(Clone)]
struct Db;

/// The first of its name.
#[background_task(name = "twice")]
pub async fn one() {}

/// The second.
#[background_task(name = "twice")]
pub async fn other() {}

#[background_task]
async fn send_mail(to: String, #[state] mailer: Mailer, #[state] database: Db) {
    let _ = (to, mailer, database);
}

/// P-BUILD-1, P-BUILD-2, P-BUILD-3
#[test]
fn build_lists_every_problem_with_its_places() {
    let error = Background::builder()
        .state(Arc::new(Mutex::new(0_u64)))
        .state(1_u8)
        .state(2_u8)
        .build()
        .unwrap_err();
    let problems: Vec<String> = error.problems().collect();
    let [twice, mailer, database, states] = problems.as_slice() else {
        panic!("{error}")
    };
    let places = twice.matches("tests/tests/build_errors.rs:").count();
    assert!(twice.starts_with("two background tasks are called `twice`"));
    assert_eq!(places, 2, "{twice}");
    assert!(mailer.starts_with("task `build_errors::send_mail` (tests/tests/build_errors.rs:"));
    assert!(mailer.ends_with(
        "needs a `build_errors::Mailer` for its parameter `mailer`: \
         give it to `Background::builder()` with `.state(..)`"
    ));
    assert!(database.contains("needs a `build_errors::Db` for its parameter `database`"));
    assert!(states.starts_with("two states of type `u8` were given, at tests/tests/"));

    let shown = error.to_string();
    assert!(shown.starts_with("4 problems with the background tasks:\n- two"));
    assert_eq!(
        format!("{error:?}"),
        shown,
        "`main` prints an error with `Debug`"
    );
}

#[get("/", background = SendMail::new("a@b.c"))]
async fn index() -> &'static str {
    "hello"
}

/// No `build()` has checked the global `Background`, so the task itself fails, with the message
/// that `build()` has for it.
#[tokio::test]
async fn a_missing_state_that_build_did_not_check_fails_the_task() {
    logs::keep();
    let app: axum::Router = routes![index];
    let request = Request::new(Body::empty());
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);

    let message = "needs a `build_errors::Mailer` for its parameter `mailer`";
    eventually("the failure is logged", || {
        !logs::lines_with(message).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_missing_state_reaches_the_hook() {
    static HEARD: Mutex<Vec<String>> = Mutex::new(Vec::new());
    fn hear(failure: &TaskFailure) {
        HEARD.lock().unwrap().push(failure.error().to_string());
    }

    #[background_task(on_error = hear)]
    async fn count(#[state] visits: Arc<Mutex<u64>>) {
        *visits.lock().unwrap() += 1;
    }

    let failure = Background::global().spawn(Count).await.unwrap_err();
    let missing: &MissingState = failure.error().downcast_ref().expect("the reason");
    assert_eq!(missing.task().name(), failure.task().name());
    assert_eq!(missing.parameter(), "visits");
    assert_eq!(
        missing.type_name(),
        std::any::type_name::<Arc<Mutex<u64>>>()
    );
    let heard = HEARD.lock().unwrap();
    assert!(heard[0].contains("for its parameter `visits`"), "{heard:?}");
}
