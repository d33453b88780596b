use bg_runtime::{get, routes};

#[get("/users")]
fn handler() -> String {
    String::new()
}

fn main() {
    let _: axum::Router = routes![handler];
}
