use bg_runtime::{background_task, get, named, post, routes, tasks};

#[background_task]
async fn audit(user: u64) {
    let _ = user;
}

async fn is_new(_: u64) -> bool {
    true
}

#[get("/a/{id}", background = if id == 0 { return } else { Audit::new(id) })]
async fn returns(id: u64) {}

#[get("/b", background = [Audit::new(id.parse()?), tasks![Audit::new(1), return], Audit::new(is_new(2).await as u64)])]
async fn all_at_once(id: String) {}

#[get("/c/{id}", background = Audit::new('label: loop { loop { break 'label id } }))]
async fn stays_in_its_loop(id: u64) {}

#[get("/d/{id}", background = if id == 0 { break } else if id == 1 { continue 'next } else { Audit::new(id) })]
async fn breaks(id: u64) {}

#[post("/e", background = [
    named("x", async move { std::fs::read("x").map(drop)?; std::future::ready(()).await; return Ok::<(), std::io::Error>(()); }),
    tasks![named("y", async { return; })],
    { fn helper() -> u64 { return 1; } Audit::new(helper()) },
    (|| { return Audit::new(1); })(),
])]
async fn in_bodies_of_their_own() {}

fn main() {
    let _: axum::Router = routes![returns, all_at_once, stays_in_its_loop, breaks, in_bodies_of_their_own];
}
