use axum::extract::State;
use bg_runtime::{get, routes};

struct Session;

#[get("/users")]
async fn handler(State(state): State<u8>, session: Session, body: String) {
    drop((state, session, body));
}

fn main() {
    let _: axum::Router = routes![handler].with_state(1);
}
