use axum::Json;
use bg_runtime::{background_task, post, routes};

#[background_task]
async fn greet(names: Vec<String>) {
    drop(names);
}

#[post("/users", background = Greet::new(names))]
async fn handler(Json(names): Json<Vec<String>>) {
    drop(names);
}

fn main() {
    let _: axum::Router = routes![handler];
}
