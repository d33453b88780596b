use bg_runtime::{get, routes};

#[get("/users/{name}")]
async fn handler(nam: String) {
    drop(nam);
}

fn main() {
    let _: axum::Router = routes![handler];
}
