use axum::Router;
use bg_runtime::{get, method_router};

#[get("/")]
async fn index() {}

#[get("/other")]
async fn other() {}

async fn plain() {}

fn main() {
    let _: Router = Router::new()
        .route("/a", method_router![])
        .route("/b", method_router!["/users"])
        .route("/c", method_router![index()])
        .route("/d", method_router![index, other])
        .route("/e", method_router![#[cfg(unix)] index]);
    let _: Router = Router::new().route("/f", method_router![plain]);
}
