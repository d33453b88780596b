use bg_runtime::{background_task, get, routes};

#[background_task]
async fn audit(user: u64) {
    drop(user);
}

#[get("/users/{id}", background = [Audit::new(id), Audit::new("seven"), id])]
async fn handler(id: u64) {
    drop(id);
}

fn main() {
    let _: axum::Router = routes![handler];
}
