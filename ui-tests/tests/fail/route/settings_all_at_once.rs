use bg_runtime::{route, routes};

#[route("users/{id", methods = [GTE], detach = true, retries = 3)]
fn handler<T>(body: impl Into<T>) {
    drop(body.into());
}

fn main() {
    let _: axum::Router = routes![handler];
}
