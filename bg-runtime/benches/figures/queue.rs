//! The time that one task takes, from being queued to its end.

use bg_runtime::Background;
use cpu_time::ThreadTime;

use crate::apps::{self, CountVisit, count_visit};
use crate::table::{Figure, Measured, median};

const TASKS: u64 = 20_000;
/// The number of tasks that are queued before the first runs.
const BATCH: u64 = 100;
const ROUNDS: usize = 21;

pub(crate) fn measure() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let rounds: Vec<(f64, f64)> = runtime.block_on(async {
        let background = Background::builder()
            .build()
            .expect("no task needs a state");
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let plain = nanoseconds(|| drop(tokio::spawn(count_visit()))).await;
            let ours = nanoseconds(|| drop(background.spawn(CountVisit))).await;
            rounds.push((plain, ours));
        }
        rounds
    });
    let (plain, ours) = (
        rounds.iter().map(|round| round.0),
        rounds.iter().map(|round| round.1),
    );
    println!(
        "  `tokio::spawn`: {:.0} ns; `Background::spawn`: {:.0} ns",
        median(plain.collect()),
        median(ours.collect()),
    );
    Figure {
        name: "one task that does nothing, queued and run: time, against `tokio::spawn`",
        measured: Measured::Value(median(
            rounds.iter().map(|(plain, ours)| ours / plain).collect(),
        )),
        goal: Some(1.5),
        unit: "",
    }
    .print();
}

async fn nanoseconds(spawn: impl Fn()) -> f64 {
    let begun = ThreadTime::now();
    let visits = apps::visits();
    for batch in 1..=TASKS / BATCH {
        (0..BATCH).for_each(|_| spawn());
        while apps::visits() < visits + batch * BATCH {
            tokio::task::yield_now().await;
        }
    }
    begun.elapsed().as_secs_f64() * 1e9 / TASKS as f64
}
