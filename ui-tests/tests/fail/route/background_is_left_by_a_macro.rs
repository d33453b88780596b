use axum::response::{IntoResponse, Response};
use bg_runtime::{background_task, get, routes};

#[background_task]
async fn audit(user: u64) {
    let _ = user;
}

macro_rules! user_or_404 {
    ($id:expr) => {
        if $id == 0 {
            return axum::http::StatusCode::NOT_FOUND.into_response();
        } else {
            $id
        }
    };
}

#[get("/{id}", background = Audit::new(user_or_404!(id)))]
async fn handler(id: u64) -> Response {
    id.to_string().into_response()
}

fn main() {
    let _: axum::Router = routes![handler];
}
