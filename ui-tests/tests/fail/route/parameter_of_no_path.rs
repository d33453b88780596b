use bg_runtime::{get, routes};

#[get("/users")]
async fn handler(page: u32) {
    drop(page);
}

fn main() {
    let _: axum::Router = routes![handler];
}
