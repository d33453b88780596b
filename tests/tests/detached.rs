//! `detach`: a handler that is finished even if its client leaves or its response is dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use bg_runtime::{Background, BackgroundTasks, SkipReason, named, post, routes};
use tests::{
    Timeline, eventually,
    tasks::{Failures, skip_reason},
};
use tokio::sync::Notify;
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;

#[post("/pay", detach, background = named("route", async {}))]
async fn pay(State(go_on): State<Arc<Notify>>, tasks: BackgroundTasks) {
    tasks.add_task(named("before", async {}));
    go_on.notified().await;
    tasks.add_task(named("after", async {}));
}

/// P-LEAVE-3
#[tokio::test(start_paused = true)]
async fn after_a_timeout_the_tasks_of_a_detached_handler_follow_its_own_end() {
    let go_on = Arc::new(Notify::new());
    let background = Background::builder().build().unwrap();
    let app: Router = routes![pay]
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(1),
        ))
        .layer(background.layer())
        .with_state(go_on.clone());
    let request = Request::post("/pay").body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    drop(response);
    assert_eq!(background.stats().pending, 2);

    go_on.notify_one();
    eventually("its tasks run", || background.stats().completed == 3).await;
}

#[post("/fail", detach)]
async fn fails(State(go_on): State<Arc<Notify>>, tasks: BackgroundTasks) {
    tasks.add_task(named("before", async {}));
    go_on.notified().await;
    panic!("out of luck");
}

/// P-HANDLER-1
#[tokio::test(start_paused = true)]
async fn after_a_timeout_a_detached_handler_that_panics_has_its_tasks_skipped() {
    let (timeline, failures) = (Timeline::new(), Failures::default());
    let go_on = Arc::new(Notify::new());
    let hook = failures.hook(&timeline);
    let background = Background::builder().on_error(hook).build().unwrap();
    let app: Router = routes![fails]
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(1),
        ))
        .layer(background.layer())
        .with_state(go_on.clone());
    let request = Request::post("/fail").body(Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    assert_eq!(background.stats().pending, 1);

    go_on.notify_one();
    let over = || failures.of("before").is_some();
    eventually("its task is settled", over).await;
    let skipped = failures.of("before").expect("it was just there");
    assert_eq!(skip_reason(&skipped), SkipReason::HandlerPanicked);
}
