use bg_runtime::{get, routes};

struct User;

#[get("/users")]
async fn handler() -> Result<User, String> {
    Ok(User)
}

fn main() {
    let _: axum::Router = routes![handler];
}
