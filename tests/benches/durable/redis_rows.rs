//! What Redis costs, beside the same by hand. Single runs vary, so both are measured in turns, and medians compared.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bg_runtime::durable::{Redis, Store};
use tests::durable::RedisServer;
use tokio::sync::{Semaphore, mpsc};

use super::Outcome;
use super::by_hand_redis::ByHand;
use super::drain::drain;
use super::idle::{WATCHED, cpu_time};
use super::pickup::{PAUSE, pick_up};
use super::stores::{Noop, Witness, background};
use super::table::{millis, percentile, ratio, row};

/// How often each is measured.
const TURNS: usize = 5;

/// How many tasks run at once.
const AT_ONCE: usize = 200;

/// Enough that a start and a stop, which by hand there are none of, make no difference.
const TASKS: u64 = 60_000;

pub(crate) struct Server(RedisServer);

impl Server {
    pub(crate) fn start() -> Result<Self, Box<dyn Error>> {
        let server = RedisServer::start().ok_or("there is no Redis here")?;
        Ok(Self(server))
    }

    fn store(&self) -> Store {
        Redis::url(self.0.url())
    }
}

pub(crate) async fn drains(server: &Server) -> Outcome {
    let mut by_hand = ByHand::connect(&server.0.url()).await?;
    let (mut own, mut defaults, mut hand) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        by_hand.clear().await?;
        hand.push(drain_by_hand(&mut by_hand).await?);
        by_hand.clear().await?;
        own.push(drain(server.store().concurrency(AT_ONCE), TASKS).await?);
        by_hand.clear().await?;
        defaults.push(drain(server.store(), TASKS).await?);
    }
    let (own, defaults, hand) = (median(own), median(defaults), median(hand));
    for (name, own, goal) in [
        ("drain of no-op tasks, Redis, 200 at once", own, ">= 0.4"),
        ("the same with the defaults", defaults, ""),
    ] {
        let (rate, by_hand) = (format!("{own:.0}/s"), format!("{hand:.0}/s"));
        row(name, &rate, &by_hand, &ratio(own, hand), goal);
    }
    Ok(())
}

async fn drain_by_hand(by_hand: &mut ByHand) -> Result<f64, Box<dyn Error>> {
    for number in 0..TASKS {
        by_hand.add(number).await?;
    }
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let begun = Instant::now();
    let claimers = (0..AT_ONCE).map(|claimer| {
        let (mut by_hand, free) = (by_hand.clone(), free.clone());
        tokio::spawn(async move {
            let mut number = 0;
            loop {
                let seat = free
                    .clone()
                    .acquire_owned()
                    .await
                    .map_err(|error| error.to_string())?;
                number += 1;
                let token = format!("{claimer}:{number}");
                let claimed = by_hand.claim(&token).await;
                let Some((id, task)) = claimed.map_err(|error| error.to_string())? else {
                    return Ok::<_, String>(());
                };
                std::hint::black_box(task);
                let done = by_hand.done(&id, &token).await;
                assert!(done.map_err(|error| error.to_string())?, "it was its own");
                drop(seat);
            }
        })
    });
    for claimer in claimers.collect::<Vec<_>>() {
        claimer.await??;
    }
    Ok(TASKS as f64 / begun.elapsed().as_secs_f64())
}

pub(crate) async fn pickups(server: &Server) -> Outcome {
    let (mut own, mut hand) = (Vec::new(), Vec::new());
    let mut by_hand = ByHand::connect(&server.0.url()).await?;
    for _ in 0..TURNS {
        by_hand.clear().await?;
        hand.extend(pick_up_by_hand(server).await?);
        by_hand.clear().await?;
        own.extend(pick_up(server.store()).await?);
    }
    for (percent, goal) in [(50, "<= 1.5"), (99, "")] {
        let (own, hand) = (
            percentile(&mut own, percent),
            percentile(&mut hand, percent),
        );
        let name = format!("pick-up, Redis, p{percent}");
        let ratio = ratio(own.as_secs_f64(), hand.as_secs_f64());
        row(&name, &millis(own), &millis(hand), &ratio, goal);
    }
    Ok(())
}

async fn pick_up_by_hand(server: &Server) -> Result<Vec<Duration>, Box<dyn Error>> {
    const PICKUPS: u64 = 500;
    let url = server.0.url();
    let (mut waits, mut asks) = (ByHand::connect(&url).await?, ByHand::connect(&url).await?);
    let mut stores = asks.clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let worker = tokio::spawn(async move {
        while let Ok(id) = waits.take().await {
            let Ok(task) = asks.lock(&id, "hand").await else {
                return;
            };
            let (tell, mut asks) = (tell.clone(), asks.clone());
            tokio::spawn(async move {
                let _ = tell.send(Instant::now());
                std::hint::black_box(task);
                let _ = asks.done(&id, "hand").await;
            });
        }
    });
    let mut times = Vec::new();
    for number in 0..PICKUPS {
        tokio::time::sleep(PAUSE).await;
        stores.add(number).await?;
        let stored = Instant::now();
        let begun = told.recv().await.ok_or("the worker has ended")?;
        times.push(begun.saturating_duration_since(stored));
    }
    worker.abort();
    Ok(times)
}

pub(crate) async fn idle(server: &Server) -> Outcome {
    let (witness, mut told) = Witness::new();
    let background = background(server.store(), witness)?;
    background.start().await?;
    background.enqueue(Noop::new(1)).await?;
    told.recv().await.ok_or("the worker has ended")?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cpu = cpu_time()?;
    tokio::time::sleep(WATCHED).await;
    let share = (cpu_time()? - cpu).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
    let share = format!("{share:.2} % of a core");
    row("an idle worker, Redis", &share, "", "", "<= 0.5 %");
    background.shutdown().await;
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}
