//! Handlers that a macro makes, with names from inside and outside of it.

#![deny(warnings)]

use axum::{Json, Router};
use bg_runtime::{background_task, routes};

#[background_task]
async fn audit(user: u64) {
    let _ = user;
}

macro_rules! handler {
    ($name:ident, $path:literal, $argument:ident: $ty:ty, $task:expr) => {
        #[bg_runtime::get($path, background = [$task, Audit::new(1)])]
        async fn $name($argument: $ty, body: String) -> String {
            format!("{}{body}", $argument)
        }
    };
}

macro_rules! unnamed {
    ($($name:ident $method:ident),*) => {
        $(
            #[bg_runtime::$method("/unnamed/{id}", background = Audit::new(id))]
            async fn $name(id: u64) {
                let _ = id;
            }
        )*

        fn unnamed() -> Router {
            routes![$($name),*]
        }
    };
}

// Types that are from outside of the macro, where the attribute is not.
macro_rules! given {
    ($name:ident($($argument:tt)*) -> $($ret:tt)*) => {
        #[bg_runtime::get("/given/{id}", background = Audit::new(id))]
        async fn $name(id: u64, $($argument)*) -> $($ret)* {
            id.to_string().into_bytes()
        }
    };
}

macro_rules! mounted {
    ($handler:path, $($more:ident),*) => {
        routes![$handler, $($more),*]
    };
}

handler!(named, "/named/{id}", id: u64, Audit::new(id));
unnamed!(read get, write put);
given!(given(_: Option<Json<u8>>) -> Vec<u8>);

fn main() {
    let _: Router = mounted!(self::named, read, write, given);
    let _ = unnamed();
}
