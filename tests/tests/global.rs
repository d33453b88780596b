//! The `Background` of routes that stand under no layer.
//!
//! A program of its own: there is one such `Background` in each.

use axum::body::Body;
use axum::http::Request;
use bg_runtime::{Background, get, named, routes};
use tests::tasks::settled;
use tower::ServiceExt;

#[get("/", background = named("route", async {}))]
async fn index() -> &'static str {
    "hello"
}

/// P-GLOBAL-2
#[tokio::test]
async fn the_background_that_is_installed_first_serves_routes_without_a_layer() {
    let [first, second] = [(); 2].map(|()| Background::builder().build().unwrap());
    first.install_global().unwrap();
    let refused = second.install_global().unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");

    let app: axum::Router = routes![index];
    let request = Request::new(Body::empty());
    drop(app.oneshot(request).await.unwrap());
    assert_eq!(settled(&first, 1).await.completed, 1);
    assert_eq!(Background::global().stats(), first.stats());
    assert_eq!(second.stats().accepted, 0);
}
