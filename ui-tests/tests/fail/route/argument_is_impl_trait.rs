use bg_runtime::{get, routes};

#[get("/users")]
async fn handler(body: impl ToString) {
    drop(body.to_string());
}

fn main() {
    let _: axum::Router = routes![handler];
}
