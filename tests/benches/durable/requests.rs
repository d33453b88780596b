//! What a request pays for a stored task.

use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::post;
use bg_runtime::sqlx::PgPool;
use bg_runtime::{Background, WithBackground};
use tower::ServiceExt;

use super::Outcome;
use super::by_hand;
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
    many(&background, stores).await
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

/// A hundred tasks of one request, in the number of statements that the server sees.
async fn many(background: &Background, stores: &Stores) -> Outcome {
    let pool = stores.pool(1).await?;
    let commits = async || -> Result<i64, Box<dyn std::error::Error>> {
        // What is counted shows up when the sessions are idle.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let sql = "select xact_commit from pg_stat_database where datname = current_database()";
        Ok(bg_runtime::sqlx::query_scalar(sql).fetch_one(&pool).await?)
    };
    let before = commits().await?;
    let begun = Instant::now();
    background.enqueue_all((0..100).map(Noop::new)).await?;
    let took = begun.elapsed();
    let transactions = commits().await? - before - 1;
    let own = format!("{} in {transactions} transactions", millis(took));
    row(
        "100 tasks of one request, PostgreSQL",
        &own,
        "",
        "",
        "one INSERT",
    );
    Ok(())
}
