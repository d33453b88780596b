//! The listener is that of the standard library, which blocks.

use axum::Router;
use bg_runtime::Background;

async fn run(listener: std::net::TcpListener, app: Router) {
    let report = Background::global().serve(listener, app).await;
    drop(report);
}

fn main() {
    drop(run);
}
