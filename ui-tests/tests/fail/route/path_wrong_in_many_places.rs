use bg_runtime::{get, routes};

#[get("users/:id/{}/{name}.png")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
