use axum::extract::State;
use bg_runtime::{get, routes};

#[get("/a")]
async fn a(State(a): State<u8>) {
    drop(a);
}

#[get("/b")]
async fn b(State(b): State<String>) {
    drop(b);
}

fn main() {
    let _: axum::Router = routes![a, b].with_state(String::new());
}
