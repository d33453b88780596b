use bg_runtime::{get, route, routes};

#[get("/users")]
async fn list() {}

#[route("/users", methods = [POST, GET])]
async fn list_again() {}

fn main() {
    let _: axum::Router = routes![list, list_again];
}
