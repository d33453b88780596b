//! A lint that the crate forbids cannot be allowed by what a macro writes.

#![forbid(dead_code, unused_variables)]

use bg_runtime::{background_task, get, routes};

#[get("/")]
async fn index() -> &'static str {
    "x"
}

#[background_task]
async fn audit(user: u64) {
    assert!(user > 0);
}

#[get("/{id}", background = Audit::new(id))]
async fn used_by_both(id: u64) -> String {
    id.to_string()
}

fn main() {
    let _: axum::Router = routes![index, used_by_both];
}
