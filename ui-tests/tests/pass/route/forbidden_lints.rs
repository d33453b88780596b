//! A lint that the crate forbids cannot be allowed by what a macro writes.

#![forbid(dead_code)]

use bg_runtime::{get, routes};

#[get("/")]
async fn index() -> &'static str {
    "x"
}

fn main() {
    let _: axum::Router = routes![index];
}
