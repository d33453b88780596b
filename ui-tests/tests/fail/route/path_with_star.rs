use bg_runtime::{get, routes};

#[get("/files/*rest")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
