use bg_runtime::{get, routes};

mod posts {
    #[bg_runtime::get("/posts")]
    pub async fn list() {}
}

#[get("/users")]
async fn list() {}

fn main() {
    let _: axum::Router = routes![list, posts::list, list];
}
