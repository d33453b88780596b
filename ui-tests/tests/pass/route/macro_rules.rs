//! Handlers that a macro makes, with names from inside and outside of it.

#![deny(warnings)]

use axum::Router;
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

macro_rules! mounted {
    ($handler:path, $($more:ident),*) => {
        routes![$handler, $($more),*]
    };
}

handler!(named, "/named/{id}", id: u64, Audit::new(id));
unnamed!(read get, write put);

fn main() {
    let _: Router = mounted!(self::named, read, write);
    let _ = unnamed();
}
