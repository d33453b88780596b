use bg_runtime::{get, routes};

#[get("/users")]
async fn users() {}

#[get("/posts")]
async fn posts() {}

fn main() {
    let _: axum::Router = routes![users(), "posts", #[inline] posts];
}
