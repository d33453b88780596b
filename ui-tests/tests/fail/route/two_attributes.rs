use bg_runtime::{get, post, routes};

#[get("/users")]
#[post("/users")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
