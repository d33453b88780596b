use bg_runtime::{route, routes};

#[route("/form", methods = [GET, PSOT, "PUT", TRACE])]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
