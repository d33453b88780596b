//! The router's state is the one that its handlers extract, or one that theirs can be made from.

#![deny(warnings)]

use axum::Router;
use axum::extract::{FromRef, FromRequestParts, State};
use axum::http::request::Parts;
use bg_runtime::{get, routes};

#[derive(Clone)]
struct App {
    name: String,
}

impl FromRef<App> for String {
    fn from_ref(app: &App) -> Self {
        app.name.clone()
    }
}

/// Can be extracted with one type of state only.
struct Session;

impl FromRequestParts<App> for Session {
    type Rejection = ();

    async fn from_request_parts(_: &mut Parts, app: &App) -> Result<Self, ()> {
        if app.name.is_empty() { Err(()) } else { Ok(Self) }
    }
}

#[get("/name")]
async fn name(State(name): State<String>) -> String {
    name
}

#[get("/session")]
async fn session(State(name): State<String>, _session: Session) -> String {
    name
}

#[get("/both")]
async fn both(State(app): State<App>, State(name): State<String>) -> String {
    app.name + &name
}

#[get("/none")]
async fn none() {}

fn main() {
    let app = App {
        name: String::new(),
    };
    let _: Router = routes![name].with_state(String::new());
    let _: Router = routes![name, session, both, none].with_state(app);
    let _: Router<u8> = routes![none];
    let _ = Router::<u8>::new().merge(routes![none]).nest("/inner", routes![]);
}
