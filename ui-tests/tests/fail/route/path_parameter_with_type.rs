use bg_runtime::{get, routes};

#[get("/users/{id:u64}")]
async fn handler(id: u64) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
