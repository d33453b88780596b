use axum::http::Method;
use bg_runtime::{get, routes};

#[get("/{id}")]
async fn handler(
    id: u64,
    a0: Method,
    a1: Method,
    a2: Method,
    a3: Method,
    a4: Method,
    a5: Method,
    a6: Method,
    a7: Method,
    a8: Method,
    a9: Method,
    a10: Method,
    a11: Method,
    a12: Method,
    a13: Method,
    a14: Method,
    a15: Method,
) {
    drop((id, [a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15]));
}

fn main() {
    let _: axum::Router = routes![handler];
}
