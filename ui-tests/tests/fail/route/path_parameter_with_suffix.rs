use bg_runtime::{get, routes};

#[get("/images/{id}.png")]
async fn handler(id: u64) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
