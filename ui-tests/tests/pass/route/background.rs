//! `background` sees the handler's arguments: by value if they are `Copy`, and else by reference.

#![deny(warnings)]

use std::cell::Cell;

use axum::extract::Extension;
use axum::{Json, Router};
use bg_runtime::{BackgroundTasks, background_task, get, post, routes};
use serde::Deserialize;

#[background_task]
async fn audit(user: u64, what: &str) {
    let _ = (user, what);
}

#[background_task]
fn count() {}

#[derive(Deserialize, Clone)]
struct NewUser {
    name: String,
    age: u64,
    tags: [String; 2],
}

#[derive(Clone, Copy)]
struct Unit;

#[get("/one/{id}", background = Audit::new(id, "one"))]
async fn one(id: u64) {
    let _: u64 = id;
}

#[post("/many/{id}", background = [Audit::new(id, format!("{id}")), Count, Audit::new(user.age, &user.name)])]
async fn many(id: u64, Json(user): Json<NewUser>) -> String {
    // Still owned by the handler.
    let name: String = user.name;
    format!("{id}{name}")
}

#[post("/none", background = [])]
async fn none(Json(_user): Json<NewUser>) {}

#[post("/list", background = [Some(Count), None].into_iter().flatten().collect::<BackgroundTasks>())]
async fn list() {}

#[post("/vec", background = vec![Audit::new(1, &body), Audit::new(2, "")])]
async fn vec(body: String) {
    let _ = body;
}

#[post("/cfg", background = [#[cfg(any())] Nothing::new(), #[cfg(all())] Count])]
async fn cfg() {}

#[post("/patterns", background = [Audit::new(age, name), Audit::new(*whole_age(&whole), &first[..]), Audit::new(port, "")])]
async fn patterns(
    Extension(&port): Extension<&'static u64>,
    Extension(_): Extension<u8>,
    _: Extension<u16>,
    Extension(Unit): Extension<Unit>,
    Json(ref whole @ NewUser { ref name, mut age, tags: [ref first, ..] }): Json<NewUser>,
) -> String {
    age += port;
    format!("{name}{age}{first}{}", whole.name)
}

fn whole_age(user: &NewUser) -> &u64 {
    &user.age
}

// Neither the borrows nor the temporaries of `background` are held while the handler runs.
#[post("/not_send", background = { let cell = &Cell::new(1); cell.set(2); Audit::new(cell.get(), &body) })]
async fn not_send(body: String) -> String {
    std::future::ready(()).await;
    body
}

// Arguments named like a variable of the generated code, and like the function itself.
#[post("/names/{names}", background = Audit::new(names, __output))]
async fn names(names: u64, __output: String) -> String {
    format!("{names}{__output}")
}

mod handlers {
    use bg_runtime::get;

    // The task is found where the attribute stands.
    #[get("/scoped", background = [super::Count, local()])]
    pub(super) async fn scoped() {}

    fn local() -> super::Audit {
        super::Audit::new(1, "")
    }
}

fn main() {
    let _: Router =
        routes![one, many, none, list, vec, cfg, patterns, not_send, names, handlers::scoped];
}
