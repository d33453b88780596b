use bg_runtime::routes;

mod users {
    #[bg_runtime::get("/users")]
    async fn list() {}
}

fn main() {
    let _: axum::Router = routes![users::list];
}
