//! The router still needs its state.

use axum::Router;
use bg_runtime::Background;

#[derive(Clone)]
struct AppState;

async fn run(listener: tokio::net::TcpListener, app: Router<AppState>) {
    let report = Background::global().serve(listener, app).await;
    drop(report);
}

fn main() {
    drop(run);
    drop(AppState);
}
