//! The handler stays the function that was written, with any attribute above and below the route's.

#![deny(warnings)]

use axum::response::IntoResponse;
use bg_runtime::{get, routes};

mod users {
    #[bg_runtime::get("/users")]
    #[inline]
    pub async fn list() -> &'static str {
        "users"
    }
}

#[cfg(any())]
#[get("/never")]
async fn above() -> Missing {}

#[get("/never")]
#[cfg(any())]
async fn below() -> Missing {}

#[get("/conditional")]
#[cfg_attr(all(), cfg(all()))]
async fn conditional() {}

#[get("/old")]
#[deprecated]
async fn old() {}

#[get("/opaque")]
async fn opaque(body: String) -> impl IntoResponse {
    body
}

// Not `async`, but a handler.
#[get("/future")]
fn future() -> impl Future<Output = String> {
    std::future::ready(String::new())
}

#[get("/boxed")]
fn boxed(body: String) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> {
    Box::pin(async { body })
}

#[get("/result")]
async fn result() -> Result<(), String> {
    Err(String::new())
}

use users::list;

async fn call() {
    let text: &str = list().await;
    let body = opaque(text.to_owned()).await.into_response();
    let text: String = future().await + &boxed(String::new()).await;
    drop((body, text, result().await));
}

fn main() {
    #[get("/inner")]
    async fn inner() {}

    // That it compiles is enough.
    drop(call());
    let _: axum::Router = routes![
        list,
        #[cfg(any())]
        above,
        #[cfg(not(any()))]
        conditional,
        opaque,
        future,
        boxed,
        result,
        inner,
        old,
    ];
}
