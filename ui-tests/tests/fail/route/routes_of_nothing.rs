use bg_runtime::{get, routes};

#[get("/users")]
async fn users() {}

fn main() {
    let _: axum::Router = routes![user, users];
}
