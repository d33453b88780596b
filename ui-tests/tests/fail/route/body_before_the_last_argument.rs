use axum::Json;
use axum::extract::State;
use bg_runtime::{get, routes};

#[get("/users")]
async fn handler(Json(user): Json<String>, State(state): State<()>) {
    drop((user, state));
}

fn main() {
    let _: axum::Router = routes![handler];
}
