//! Everything that can take the parameters of a path.

#![deny(warnings)]

use std::collections::HashMap;

use axum::extract::{
    FromRequestParts, MatchedPath, OriginalUri, Path, RawPathParams, Request, State,
};
use axum::http::{Uri, request::Parts};
use axum::{Json, Router};
use bg_runtime::{get, routes};
use serde::Deserialize;

#[derive(Deserialize)]
struct Ids {
    user: u64,
    post: u64,
}

struct Session;

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = ();

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, ()> {
        Ok(Self)
    }
}

type Two = (u64, u64);

#[get("/by_name/{user}/{post}")]
async fn by_name(post: u64, user: Option<String>) -> String {
    format!("{user:?}{post}")
}

#[get("/type/{type}/{r#mut}")]
async fn raw(r#type: u64, rest: Path<Two>) -> String {
    format!("{type}{rest:?}", r#type = r#type)
}

#[get("/mutable/{id}/{_unused}")]
async fn mutable(mut id: u64) -> String {
    id += 1;
    id.to_string()
}

#[get("/both/{user}/{post}")]
async fn both(user: u64, Path((_, post)): Path<(String, u64)>) -> String {
    format!("{user}{post}")
}

#[get("/struct/{user}/{post}")]
async fn by_struct(Path(ids): Path<Ids>) -> String {
    (ids.user + ids.post).to_string()
}

#[get("/map/{user}/{post}")]
async fn by_map(ids: Path<HashMap<String, u64>>) -> String {
    format!("{ids:?}")
}

#[get("/alias/{user}/{post}")]
async fn by_alias(Path(ids): Path<Two>) -> String {
    format!("{ids:?}")
}

#[get("/optional/{user}/{post}")]
async fn optional(user: Option<Path<Two>>) -> String {
    format!("{}", user.is_some())
}

#[get("/raw/{user}/{post}")]
async fn raw_params(ids: RawPathParams) -> String {
    format!("{}", ids.iter().count())
}

#[get("/own/{user}/{post}")]
async fn own(_: Session) {}

#[get("/own_name/{session}")]
async fn own_name(Path(_id): Path<u64>, _session: Session) {}

#[get("/request/{user}/{post}")]
async fn request(request: Request) -> String {
    request.uri().to_string()
}

#[get("/parts/{user}")]
async fn parts(matched: MatchedPath, uri: Uri, OriginalUri(_): OriginalUri) -> String {
    format!("{uri}{}", matched.as_str())
}

// An extractor of axum's is one, even if it is named like a parameter.
#[get("/state/{state}/{id}/{body}")]
async fn named_alike(state: State<u8>, id: Path<(u64, u64, u64)>, body: Json<u8>) -> String {
    format!("{}{:?}{}", state.0, id, body.0)
}

#[get("/wildcard/{*rest}")]
async fn wildcard(rest: String) -> String {
    rest
}

#[get("/static/{{id}}/@me/a:b/é")]
async fn no_parameters(body: String) -> String {
    body
}

// Nested below a path with parameters, a route has more than its own path says.
#[get("/members")]
async fn members(Path(team): Path<u64>) -> String {
    team.to_string()
}

fn main() {
    let app: Router<u8> = routes![
        by_name, raw, mutable, both, by_struct, by_map, by_alias, optional, raw_params, own,
        own_name, request, parts, named_alike, wildcard, no_parameters,
    ];
    let _: Router = app
        .nest("/teams/{team}", routes![members])
        .with_state(1);
}
