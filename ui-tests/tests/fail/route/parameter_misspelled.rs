use bg_runtime::{get, routes};

#[get("/users/{user_id}")]
async fn handler(user_idd: u64) {
    drop(user_idd);
}

fn main() {
    let _: axum::Router = routes![handler];
}
