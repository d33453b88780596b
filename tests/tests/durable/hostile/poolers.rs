//! A PgBouncer between the store and its server.

use std::time::Duration;

use bg_runtime::durable::{Cancelled, Postgres, Store};
use bg_runtime::sqlx::{self, AssertSqlSafe, Connection, PgConnection};
use tests::durable::{PgBouncer, PostgresServer};
use tests::within;

use super::{background, start_error, works};
use crate::tasks::{Hold, Note};

fn store(pooler: &PgBouncer) -> Store {
    let schema = format!("pooled_{:x}", fastrand::u64(..));
    Postgres::url(pooler.url())
        .schema(schema)
        .connections(5)
        .lease(Duration::from_secs(2))
}

/// P-DURABLE-60
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_keeps_sessions_makes_no_difference() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let Some(pooler) = PgBouncer::start(server, &["pool_mode = session"]) else {
        return;
    };
    works(store(&pooler)).await;
}

/// P-DURABLE-60
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_forgets_statements_is_refused_at_the_start() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let mut settings = vec!["pool_mode = transaction", "max_prepared_statements = 0"];
    if PgBouncer::can_keep_statements() == Some(false) {
        // It does not know the setting either.
        settings.pop();
    }
    let Some(pooler) = PgBouncer::start(server, &settings) else {
        return;
    };
    let error = start_error(store(&pooler)).await;
    assert!(error.contains("has to keep prepared statements"), "{error}");
    assert!(
        error.contains("`max_prepared_statements` of PgBouncer"),
        "{error}"
    );
}

/// P-DURABLE-60
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_of_transactions_tasks_run_and_the_fence_holds() {
    tests::logs::keep();
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let settings = ["pool_mode = transaction", "default_pool_size = 3"];
    let Some(pooler) = PgBouncer::start_with_statements(server, &settings) else {
        return;
    };
    let schema = format!("pooled_{:x}", fastrand::u64(..));
    let store = || store(&pooler).schema(&schema);
    let (creator, worker) = (background(store()), background(store()));
    creator.start().await.unwrap();
    let warned = tests::logs::lines_with("is behind a pooler in its transaction mode");
    let port = format!("127.0.0.1:{}/", pooler.port());
    assert!(warned.iter().any(|line| line.contains(&port)), "{warned:?}");
    worker.start().await.unwrap();
    let notes = (0..20).map(|number| Note::new(number.to_string()));
    for id in creator.enqueue_all(notes).await.unwrap() {
        within("the end", creator.stored().get(id.unwrap()).outcome())
            .await
            .unwrap();
    }
    let id = creator.enqueue(Hold::new("held")).await.unwrap();
    let held = creator.stored().get(id);
    let begun = std::time::Instant::now();
    while held.status().await.unwrap().unwrap().worker.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "nobody takes it");
    }
    // As another worker would, whose name is not that of the claim, and passes through the pooler.
    let complete = format!(
        "update {schema}.river_job set state = 'completed', finalized_at = now() where state = 'running' returning id"
    );
    for pass in [pooler.url(), server.url()] {
        let options: sqlx::postgres::PgConnectOptions = pass.parse().unwrap();
        let options = options
            .application_name("bg:1:2:2000")
            .extra_float_digits(None);
        let mut other = PgConnection::connect_with(&options).await.unwrap();
        let completed = sqlx::raw_sql(AssertSqlSafe(complete.clone()));
        let completed = completed.fetch_all(&mut other).await.unwrap();
        assert!(completed.is_empty(), "the fence lets it pass");
    }
    // Who runs it hears of this with its next beat.
    assert_eq!(held.cancel().await.unwrap(), Cancelled::Told);
    within("the end", held.outcome()).await.unwrap();
    within("the shutdown", worker.shutdown()).await;
}
