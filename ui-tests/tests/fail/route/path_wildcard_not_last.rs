use bg_runtime::{get, routes};

#[get("/files/{*rest}/edit")]
async fn handler(rest: String) {
    drop(rest);
}

fn main() {
    let _: axum::Router = routes![handler];
}
