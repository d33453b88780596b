use bg_runtime::{get, routes};

#[get("/users/{name}")]
async fn handler(name: &str) {
    drop(name.len());
}

fn main() {
    let _: axum::Router = routes![handler];
}
