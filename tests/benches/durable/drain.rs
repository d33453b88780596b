//! How fast tasks that do nothing are taken, run and recorded.

use std::time::Instant;

use super::Outcome;
use super::by_hand;
use super::stores::{Noop, Stores, Witness, background};
use super::table::{ratio, row};

const TASKS: u64 = 20_000;
const BATCH: u64 = 1_000;

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let by_hand = drain_by_hand(stores).await?;
    for (name, concurrency, goal) in [
        (
            "drain of no-op tasks, PostgreSQL, 200 at once",
            Some(200),
            ">= 0.5",
        ),
        ("the same with the defaults", None, ""),
    ] {
        let schema = format!("drain_{}", concurrency.unwrap_or_default());
        let mut store = stores.postgres(&schema);
        if let Some(concurrency) = concurrency {
            store = store.concurrency(concurrency);
        }
        let own = drain(store).await?;
        row(
            name,
            &format!("{own:.0}/s"),
            &format!("{by_hand:.0}/s"),
            &ratio(own, by_hand),
            goal,
        );
    }
    let sqlite = drain(stores.sqlite("drain.db").concurrency(200)).await?;
    row(
        "drain of no-op tasks, SQLite, 200 at once",
        &format!("{sqlite:.0}/s"),
        "",
        "",
        "",
    );
    Ok(())
}

async fn drain(store: bg_runtime::durable::Store) -> Result<f64, Box<dyn std::error::Error>> {
    let (witness, mut told) = Witness::new();
    let background = background(store, witness)?;
    for batch in 0..TASKS / BATCH {
        let tasks = (0..BATCH).map(|number| Noop::new(batch * BATCH + number));
        background.enqueue_all(tasks).await?;
    }
    let begun = Instant::now();
    background.start().await?;
    eprintln!("started {:?}", begun.elapsed());
    told.recv().await.ok_or("the tasks have ended")?;
    eprintln!("first {:?}", begun.elapsed());
    for _ in 1..TASKS {
        told.recv().await.ok_or("the tasks have ended")?;
    }
    eprintln!("all told {:?}", begun.elapsed());
    // Until the last outcome is recorded.
    let report = background.shutdown().await;
    let took = begun.elapsed();
    eprintln!("shut down {:?}", begun.elapsed());
    if report.stats().completed != TASKS {
        return Err(format!("{report}").into());
    }
    Ok(TASKS as f64 / took.as_secs_f64())
}

async fn drain_by_hand(stores: &Stores) -> Result<f64, Box<dyn std::error::Error>> {
    let pool = stores.pool(10).await?;
    by_hand::create(&pool).await?;
    by_hand::insert_many(&pool, TASKS as i64).await?;
    let begun = Instant::now();
    loop {
        let claimed = by_hand::claim(&pool, 200).await?;
        if claimed.is_empty() {
            break;
        }
        // Each run is a task of tokio's, as it would be.
        let runs: Vec<_> = claimed
            .into_iter()
            .map(|(id, _, payload)| tokio::spawn(async move { (id, payload.number) }))
            .collect();
        let mut ended = Vec::with_capacity(runs.len());
        for run in runs {
            ended.push(run.await?.0);
        }
        by_hand::complete(&pool, &ended).await?;
    }
    Ok(TASKS as f64 / begun.elapsed().as_secs_f64())
}
