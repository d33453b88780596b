//! The router is turned into a service for each connection, as `axum::serve` takes it, too.

use axum::Router;
use bg_runtime::Background;

async fn run(listener: tokio::net::TcpListener) {
    let app: Router = Router::new();
    let report = Background::global()
        .serve(listener, app.into_make_service())
        .await;
    drop(report);
}

fn main() {
    drop(run);
}
