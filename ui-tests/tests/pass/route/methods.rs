//! Every method, and the settings that are flags.

#![deny(warnings)]

use bg_runtime::{delete, get, head, options, patch, post, put, route, routes};

#[get("/")]
async fn a() {}
#[post("/")]
async fn b() {}
#[put("/", detach)]
async fn c() {}
#[patch("/", detach, background = [],)]
async fn d() {}
#[delete("/", background = [], detach)]
async fn e() {}
#[head("/head")]
async fn f() {}
#[options("/")]
async fn g() {}
#[route("/all", methods = [GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS])]
async fn h() {}
#[route("/form", detach, methods = [GET,])]
async fn i() {}

fn main() {
    let _: axum::Router = routes![a, b, c, d, e, f, g, h, i];
}
