//! Handlers of one name from several modules, and one that is listed twice, of which `#[cfg]` leaves one.

#![deny(warnings)]

use axum::Router;
use bg_runtime::{get, routes};

mod posts {
    #[bg_runtime::get("/posts")]
    pub async fn list() {}
}

#[get("/users")]
async fn list() {}

fn main() {
    let _: Router = routes![list, posts::list];
    let _: Router = routes![
        #[cfg(any())]
        list,
        posts::list,
        list,
        #[cfg(any())]
        posts::list,
    ];
    let _: Router = routes![
        #[cfg(any())]
        list
    ];
}
