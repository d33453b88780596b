//! What comes after the mistake is not a mistake as well.

use std::time::Duration;

use axum::Router;
use bg_runtime::Background;

async fn run(listener: tokio::net::TcpListener) {
    let app: Router = Router::new();
    let report = Background::global()
        .serve(listener, app.into_make_service())
        .detach()
        .write_timeout(Duration::from_secs(1))
        .with_graceful_shutdown(async {})
        .await;
    drop(report);
}

fn main() {
    drop(run);
}
