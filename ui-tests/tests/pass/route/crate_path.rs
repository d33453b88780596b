//! The runtime under another name.

#![deny(warnings)]

mod facade {
    pub mod tasks {
        pub use bg_runtime::*;
    }
}

use facade::tasks::{get, routes};

#[get("/", crate = crate::facade::tasks, background = [])]
async fn index() {}

fn main() {
    let _: axum::Router = routes![crate = crate::facade::tasks, crate::index];
    let _: axum::Router = routes![crate = crate::facade::tasks];
    let _: axum::Router = routes![crate::index,];
}
