use bg_runtime::{get, routes};

#[get(detach, "/users")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
