//! What a request pays for a stored task.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use bg_runtime::sqlx::PgPool;
use bg_runtime::{Background, TaskExt, WithBackground};
use tower::ServiceExt;

use super::Outcome;
use super::by_hand;
use super::counted::Counted;
use super::stores::{Noop, Stores, Witness, background};
use super::table::{millis, percentile, ratio, row};

const REQUESTS: usize = 10_000;

async fn store_a_task() -> impl axum::response::IntoResponse {
    StatusCode::CREATED.with_background(Noop::new(1))
}

async fn insert_a_row(State(pool): State<PgPool>) -> StatusCode {
    match by_hand::insert(&pool, 1).await {
        Ok(()) => StatusCode::CREATED,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let pool = stores.pool(10).await?;
    by_hand::create(&pool).await?;
    let (witness, _told) = Witness::new();
    let background = background(stores.postgres("requests").enqueue_only(), witness)?;
    background.start().await?;
    let apps = [
        Router::new()
            .route("/", post(store_a_task))
            .layer(background.layer()),
        Router::new()
            .route("/", post(insert_a_row))
            .with_state(pool)
            .layer(background.layer()),
    ];
    // Where a server would run them.
    let times = tokio::spawn(async move { ask(&apps).await.map_err(|error| error.to_string()) });
    let [mut own, mut by_hand] = times.await??;
    for (percent, goal) in [(50, "<= 1.15"), (99, "")] {
        let (own, by_hand) = (
            percentile(&mut own, percent),
            percentile(&mut by_hand, percent),
        );
        let name = format!("a request that stores a task, PostgreSQL, p{percent}");
        let ratio = ratio(own.as_secs_f64(), by_hand.as_secs_f64());
        row(&name, &millis(own), &millis(by_hand), &ratio, goal);
    }
    at_once(&background, stores).await?;
    round_trips(stores).await
}

/// Sends requests to one and the other in turns, and returns how long they took.
async fn ask(apps: &[Router; 2]) -> Result<[Vec<Duration>; 2], Box<dyn std::error::Error>> {
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..REQUESTS * 2 + 200 {
        let which = number % 2;
        let took = request(&apps[which]).await?;
        // The first ones open connections.
        if number >= 200 {
            times[which].push(took);
        }
    }
    Ok(times)
}

async fn request(app: &Router) -> Result<Duration, Box<dyn std::error::Error>> {
    let request = Request::post("/").body(Body::empty())?;
    let begun = Instant::now();
    let response = app.clone().oneshot(request).await?;
    let took = begun.elapsed();
    match response.status() {
        StatusCode::CREATED => Ok(took),
        other => Err(format!("a request was answered {other}").into()),
    }
}

/// What a server stores that has many requests at the same time, each with a task of which workers are told.
async fn at_once(background: &Background, stores: &Stores) -> Outcome {
    const CLIENTS: usize = 16;
    const EACH: u64 = 500;
    let pool = stores.pool(CLIENTS as u32).await?;
    let mut rates = Vec::new();
    for own in [true, false] {
        let begun = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (background, pool) = (background.clone(), pool.clone());
                tokio::spawn(async move {
                    for number in 0..EACH {
                        if own {
                            let task = Noop::new(number);
                            background
                                .enqueue(task)
                                .await
                                .map_err(|error| error.to_string())?;
                        } else {
                            let stored = by_hand::insert_and_notify(&pool, number as i64).await;
                            stored.map_err(|error| error.to_string())?;
                        }
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        for client in clients {
            client.await??;
        }
        rates.push((CLIENTS as u64 * EACH) as f64 / begun.elapsed().as_secs_f64());
    }
    row(
        "tasks stored by 16 at once, PostgreSQL",
        &format!("{:.0}/s", rates[0]),
        &format!("{:.0}/s", rates[1]),
        &ratio(rates[0], rates[1]),
        "",
    );
    Ok(())
}

/// How often the server is asked before a response with so many tasks may go out.
async fn round_trips(stores: &Stores) -> Outcome {
    let line = Counted::to(stores.port()).await?;
    let (witness, _told) = Witness::new();
    let store = stores.postgres_on(line.port, "requests").enqueue_only();
    let background = background(store, witness)?;
    background.start().await?;
    for (tasks, name) in [
        (1, "one task of a request, PostgreSQL"),
        (100, "100 tasks of one request, PostgreSQL"),
    ] {
        // Later, so that nobody is told of them meanwhile. The first time of a connection prepares the statement.
        let later = || (0..tasks).map(|number| Noop::new(number).delay(Duration::from_secs(3600)));
        for _ in 0..20 {
            background.enqueue_all(later()).await?;
        }
        let (before, begun) = (line.statements(), Instant::now());
        background.enqueue_all(later()).await?;
        let (trips, took) = (line.statements() - before, begun.elapsed());
        let own = format!("round trips: {trips}, {}", millis(took));
        row(name, &own, "", "", "1");
    }
    Ok(())
}
