//! The router is turned into a service that knows the client's address, as `axum::serve` wants it.

use std::net::SocketAddr;

use axum::Router;
use bg_runtime::Background;

async fn run(listener: tokio::net::TcpListener) {
    let app: Router = Router::new();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let report = Background::global().serve(listener, app).await;
    drop(report);
}

fn main() {
    drop(run);
}
