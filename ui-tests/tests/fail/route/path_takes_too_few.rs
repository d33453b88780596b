use axum::extract::Path;
use bg_runtime::{get, routes};

#[get("/users/{user_id}/posts/{post_id}")]
async fn handler(Path(id): Path<u64>) {
    drop(id);
}

#[get("/{a}/{b}/{c}")]
async fn other(Path((a, b)): Path<(u64, String)>) {
    drop((a, b));
}

fn main() {
    let _: axum::Router = routes![handler, other];
}
