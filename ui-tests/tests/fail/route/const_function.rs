use bg_runtime::{get, routes};

#[get("/users")]
const fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
