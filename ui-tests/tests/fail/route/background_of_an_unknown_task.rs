use bg_runtime::{get, routes};

#[get("/users/{id}", background = Audti::new(id))]
async fn handler(id: u64) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
