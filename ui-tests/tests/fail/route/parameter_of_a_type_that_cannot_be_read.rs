use bg_runtime::{get, routes};

struct UserId;

#[get("/users/{id}")]
async fn handler(id: UserId) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
