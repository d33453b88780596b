//! How long after it is stored a task begins, on workers that have nothing else to do.

use std::time::{Duration, Instant};

use bg_runtime::durable::Store;
use bg_runtime::sqlx::postgres::PgListener;
use tokio::sync::mpsc;

use super::Outcome;
use super::by_hand;
use super::stores::{Noop, Stores, Witness, background};
use super::table::{millis, percentile, ratio, row};

const TASKS: u64 = 1_000;

/// Between two tasks, so that each finds an idle worker.
pub(crate) const PAUSE: Duration = Duration::from_millis(5);

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let mut by_hand = pick_up_by_hand(stores).await?;
    let (hand_50, hand_99) = (percentile(&mut by_hand, 50), percentile(&mut by_hand, 99));
    for (name, store, baseline, goal) in [
        (
            "pick-up, PostgreSQL",
            stores.postgres("pickup"),
            true,
            "<= 1.5",
        ),
        (
            "pick-up, SQLite, one process",
            stores.sqlite("pickup.db"),
            false,
            "<= 3 ms",
        ),
    ] {
        let mut own = pick_up(store).await?;
        let (own_50, own_99) = (percentile(&mut own, 50), percentile(&mut own, 99));
        for (percent, own, hand, goal) in
            [("p50", own_50, hand_50, goal), ("p99", own_99, hand_99, "")]
        {
            let name = format!("{name}, {percent}");
            if baseline {
                let ratio = ratio(own.as_secs_f64(), hand.as_secs_f64());
                row(&name, &millis(own), &millis(hand), &ratio, goal);
            } else {
                row(&name, &millis(own), "", "", goal);
            }
        }
    }
    Ok(())
}

pub(crate) async fn pick_up(store: Store) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let (witness, mut told) = Witness::new();
    let background = background(store, witness)?;
    background.start().await?;
    let mut times = Vec::new();
    for number in 0..TASKS {
        tokio::time::sleep(PAUSE).await;
        background.enqueue(Noop::new(number)).await?;
        let stored = Instant::now();
        let begun = told.recv().await.ok_or("the worker has ended")?;
        times.push(begun.saturating_duration_since(stored));
    }
    background.shutdown().await;
    Ok(times)
}

async fn pick_up_by_hand(stores: &Stores) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
    let pool = stores.pool(10).await?;
    by_hand::create(&pool).await?;
    let mut listener = PgListener::connect(&stores.url()).await?;
    listener.listen("by_hand").await?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let worker = tokio::spawn({
        let pool = pool.clone();
        async move {
            while listener.recv().await.is_ok() {
                let Ok(claimed) = by_hand::claim(&pool, 200).await else {
                    return;
                };
                let ids: Vec<_> = claimed.iter().map(|(id, ..)| *id).collect();
                for _ in claimed {
                    let tell = tell.clone();
                    tokio::spawn(async move {
                        let _ = tell.send(Instant::now());
                    });
                }
                if by_hand::complete(&pool, &ids).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut times = Vec::new();
    for number in 0..TASKS {
        tokio::time::sleep(PAUSE).await;
        by_hand::insert_and_notify(&pool, number as i64).await?;
        let stored = Instant::now();
        let begun = told.recv().await.ok_or("the worker has ended")?;
        times.push(begun.saturating_duration_since(stored));
    }
    worker.abort();
    Ok(times)
}
