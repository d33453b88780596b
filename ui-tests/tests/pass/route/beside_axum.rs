//! The attributes and axum's functions have the same names, and one file can use both.

#![deny(warnings)]

use axum::Router;
use axum::routing::{get, post};
use bg_runtime::{get, post, routes};

#[get("/users")]
async fn list() {}

#[post("/users")]
async fn create() {}

async fn plain() {}

fn main() {
    let _: Router = routes![list, create].route("/plain", get(plain).post(plain));
    // A handler is still a function, and axum takes it as one.
    let _: Router = Router::new().route("/users", post(create));
}
