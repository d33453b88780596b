use bg_runtime::{get, routes};

#[get("/search?q={q}")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
