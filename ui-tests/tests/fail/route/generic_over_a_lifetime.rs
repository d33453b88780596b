use bg_runtime::{get, routes};

#[get("/users")]
async fn handler<'a>(body: std::borrow::Cow<'a, str>) {
    drop(body);
}

fn main() {
    let _: axum::Router = routes![handler];
}
