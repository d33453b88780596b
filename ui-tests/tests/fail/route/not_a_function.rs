use bg_runtime::{get, routes};

#[get("/users")]
struct Users;

fn main() {
    let _: axum::Router = routes![];
}
