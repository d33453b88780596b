use bg_runtime::{route, routes};

#[route("/form", methods = [GET, POST, GET])]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
