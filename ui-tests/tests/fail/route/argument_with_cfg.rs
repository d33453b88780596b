use bg_runtime::{get, routes};

#[get("/users")]
async fn handler(#[cfg(unix)] body: String) {
    drop(body);
}

fn main() {
    let _: axum::Router = routes![handler];
}
