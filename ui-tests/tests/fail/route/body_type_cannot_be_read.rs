use axum::Json;
use bg_runtime::{get, routes};

struct User;

#[get("/users")]
async fn handler(Json(user): Json<User>) {
    drop(user);
}

fn main() {
    let _: axum::Router = routes![handler];
}
