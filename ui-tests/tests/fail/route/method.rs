use bg_runtime::{get, routes};

struct Users;

impl Users {
    #[get("/users", detach)]
    async fn list(&self) {}
}

fn main() {
    let _: axum::Router = routes![];
}
