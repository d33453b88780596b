use bg_runtime::{get, routes};

async fn handler() {}

#[get("/users")]
async fn users() {}

fn main() {
    let _: axum::Router = routes![handler, users];
}
