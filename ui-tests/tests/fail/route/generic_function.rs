use axum::Json;
use bg_runtime::{get, routes};

#[get("/users")]
async fn handler<T>(Json(body): Json<T>) {
    drop(body);
}

fn main() {
    let _: axum::Router = routes![handler];
}
