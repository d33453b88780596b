use std::rc::Rc;

use bg_runtime::{get, routes};

#[get("/users")]
async fn handler(body: String) -> String {
    let counter = Rc::new(1);
    tokio::task::yield_now().await;
    format!("{body}{counter}")
}

fn main() {
    let _: axum::Router = routes![handler];
}
