use bg_runtime::{get, routes};

#[get("/users/{user_id}/posts/{post_id}")]
async fn handler(post_id: u64) {
    drop(post_id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
