use bg_runtime::{get, routes};

#[get("/users/:id")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
