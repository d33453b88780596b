use bg_runtime::{get, routes};

#[get("")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
