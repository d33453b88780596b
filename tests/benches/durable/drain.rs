//! How fast tasks that do nothing are taken, run and recorded.

use std::time::Instant;

use super::Outcome;
use super::by_hand;
use super::stores::{Noop, Stores, Witness, background};
use super::table::{ratio, row};

const TASKS: u64 = 20_000;
const BATCH: u64 = 1_000;

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let by_hand = drain_by_hand(stores, true).await?;
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
        let own = drain(store, TASKS).await?;
        row(
            name,
            &format!("{own:.0}/s"),
            &format!("{by_hand:.0}/s"),
            &ratio(own, by_hand),
            goal,
        );
        if concurrency.is_some() {
            let each = drain_by_hand(stores, false).await?;
            row(
                "the same, and by hand each task is recorded when it ends",
                &format!("{own:.0}/s"),
                &format!("{each:.0}/s"),
                &ratio(own, each),
                "",
            );
            let most = drain_of_river(stores).await?;
            row(
                "the same, and by hand the table is River's",
                &format!("{own:.0}/s"),
                &format!("{most:.0}/s"),
                &ratio(own, most),
                "",
            );
        }
    }
    let sqlite = drain(stores.sqlite("drain.db").concurrency(200), TASKS).await?;
    row(
        "drain of no-op tasks, SQLite, 200 at once",
        &format!("{sqlite:.0}/s"),
        "",
        "",
        "",
    );
    Ok(())
}

pub(crate) async fn drain(
    store: bg_runtime::durable::Store,
    tasks: u64,
) -> Result<f64, Box<dyn std::error::Error>> {
    let (witness, mut told) = Witness::new();
    let background = background(store, witness)?;
    for batch in 0..tasks / BATCH {
        let stored = (0..BATCH).map(|number| Noop::new(batch * BATCH + number));
        background.enqueue_all(stored).await?;
    }
    let begun = Instant::now();
    background.start().await?;
    told.recv().await.ok_or("the tasks have ended")?;
    for _ in 1..tasks {
        told.recv().await.ok_or("the tasks have ended")?;
    }
    // Until the last outcome is recorded.
    let report = background.shutdown().await;
    let took = begun.elapsed();
    if report.stats().completed != tasks {
        return Err(format!("{report}").into());
    }
    Ok(tasks as f64 / took.as_secs_f64())
}

/// Claims 200 at once, runs them, and records them: together when the last one has ended, or each by itself.
async fn drain_by_hand(stores: &Stores, together: bool) -> Result<f64, Box<dyn std::error::Error>> {
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
            .map(|(id, _, payload)| {
                let pool = pool.clone();
                tokio::spawn(async move {
                    std::hint::black_box(payload.number);
                    match together {
                        true => Ok(id),
                        false => by_hand::complete_one(&pool, id).await.map(|()| id),
                    }
                })
            })
            .collect();
        let mut ended = Vec::with_capacity(runs.len());
        for run in runs {
            ended.push(run.await??);
        }
        if together {
            by_hand::complete(&pool, &ended).await?;
        }
    }
    Ok(TASKS as f64 / begun.elapsed().as_secs_f64())
}

/// The least that a worker on River's table writes, with nothing around it.
async fn drain_of_river(stores: &Stores) -> Result<f64, Box<dyn std::error::Error>> {
    const SCHEMA: &str = "drain_by_hand";
    let (witness, _told) = Witness::new();
    let background = background(stores.postgres(SCHEMA).enqueue_only(), witness)?;
    for batch in 0..TASKS / BATCH {
        let tasks = (0..BATCH).map(|number| Noop::new(batch * BATCH + number));
        background.enqueue_all(tasks).await?;
    }
    let pool = stores.pool(10).await?;
    let begun = Instant::now();
    loop {
        let claimed = by_hand::claim_of_river(&pool, 200, SCHEMA).await?;
        if claimed.is_empty() {
            break;
        }
        by_hand::complete_of_river(&pool, &claimed, SCHEMA).await?;
    }
    Ok(TASKS as f64 / begun.elapsed().as_secs_f64())
}
