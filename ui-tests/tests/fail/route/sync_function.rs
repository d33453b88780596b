use bg_runtime::{get, routes};

#[get("/users")]
fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
