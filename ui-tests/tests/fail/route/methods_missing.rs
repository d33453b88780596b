use bg_runtime::{route, routes};

#[route("/form")]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
