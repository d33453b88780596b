use bg_runtime::{get, routes};

const USERS: &str = "/users";

#[get(USERS)]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
