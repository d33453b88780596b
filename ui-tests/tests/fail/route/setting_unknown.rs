use bg_runtime::{get, routes};

#[get("/users", backgroud = 1)]
async fn handler() {}

fn main() {
    let _: axum::Router = routes![handler];
}
