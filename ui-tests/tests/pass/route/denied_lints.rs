//! Lints that are denied by their names: what generated code writes trips none, however the handler and
//! `background` share the arguments.

#![deny(
    let_underscore_drop,
    missing_docs,
    nonstandard_style,
    unit_bindings,
    unused,
    unused_mut,
    unused_qualifications,
    unused_results,
    unused_variables
)]

use axum::Json;
use axum::extract::Extension;
use bg_runtime::{background_task, get, method_router, post, routes};

#[derive(Clone)]
struct User {
    name: String,
    #[cfg(all())]
    age: u64,
}

#[background_task]
async fn audit(user: u64) {
    assert!(user > 0);
}

#[get("/handler/{id}/{name}", background = Audit::new(1))]
async fn used_by_the_handler(id: u64, name: String) -> String {
    format!("{id}{name}")
}

#[get("/one/{id}/{name}", background = Audit::new(id))]
async fn used_by_one_each(id: u64, name: String) -> String {
    name
}

#[get("/both/{id}", background = Audit::new(id))]
async fn used_by_both(id: u64) -> String {
    id.to_string()
}

// A word that is the name of an argument and of no variable.
#[post("/word", background = Audit::new("name id".len() as u64))]
async fn a_word(Extension(()): Extension<()>, Json(name): Json<String>) -> String {
    name
}

#[post("/pattern", background = Audit::new(age))]
async fn pattern(Extension(User { name, #[cfg(all())] age }): Extension<User>) -> String {
    format!("{name}{age}")
}

fn main() {
    let router: axum::Router = routes![used_by_the_handler, used_by_one_each, used_by_both, a_word, pattern];
    let methods: axum::routing::MethodRouter = method_router![used_by_both];
    drop((router, methods));
}
