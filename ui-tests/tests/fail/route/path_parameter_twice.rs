use bg_runtime::{get, routes};

#[get("/users/{id}/friends/{id}")]
async fn handler(id: u64) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
