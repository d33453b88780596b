//! What each worker does now and then, for all of them: gives lost tasks to others, forgets old ones, and brings back those
//! that others did not know.

use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ear::{Ear, Heard, Told};
use super::fields::wait;
use super::run::Runs;
use super::scripts::call;
use crate::durable::settings::StoreSettings;
use crate::log_target::RUNTIME;

/// How often a task may lose its worker before it is dead.
const MOST_LOSSES: u32 = 5;

/// How many completed tasks of a queue are kept at most.
const MOST_COMPLETED: u32 = 10_000;

/// How many are forgotten at once.
const AT_ONCE: u32 = 500;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How soon an ear is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// `parked` is notified when a worker has met a name that it does not know.
pub(super) async fn keep_up(runs: &Runs, settings: &StoreSettings, parked: &Notify) -> Infallible {
    let mut rescued = None;
    loop {
        bring_back(runs).await;
        let rescues = settings.lease / 3;
        if rescued.is_none_or(|at: Instant| at.elapsed() >= rescues) {
            rescued = Some(Instant::now());
            rescue(runs).await;
        }
        forget(runs, settings).await;
        let next = LOOK.min(rescues.max(Duration::from_millis(1)));
        let _ = tokio::time::timeout(next, parked.notified()).await;
    }
}

/// Has tasks wait again that workers have put aside which do not know them.
async fn bring_back(runs: &Runs) {
    let shared = &runs.shared;
    for (queue, at_once) in &runs.desk.queues {
        let mut script = call(&shared.prefix, |scripts| &scripts.unpark);
        script.arg(queue).arg(*at_once).arg(runs.desk.names);
        // If it fails, so do the claims, which the log is told of.
        let _: Result<u64, _> = shared.link.run(&script).await;
    }
}

/// Takes back what workers had that are lost.
async fn rescue(runs: &Runs) {
    let shared = &runs.shared;
    let mut script = call(&shared.prefix, |scripts| &scripts.rescue);
    script.arg(MOST_LOSSES).arg(wait(shared.lease / 3).max(1));
    let names: Result<Vec<String>, _> = shared.link.run(&script).await;
    let names = names.unwrap_or_default();
    if !names.is_empty() {
        tracing::warn!(
            target: RUNTIME,
            tasks = names.join(", "),
            "the worker of these tasks was not heard of for too long: they run again"
        );
    }
}

/// Forgets what has been kept for long enough.
async fn forget(runs: &Runs, settings: &StoreSettings) {
    let shared = &runs.shared;
    loop {
        let mut script = call(&shared.prefix, |scripts| &scripts.clean);
        script
            .arg(wait(settings.keep_completed))
            .arg(wait(settings.keep_dead))
            .arg(MOST_COMPLETED)
            .arg(AT_ONCE);
        let forgotten: Result<u32, _> = shared.link.run(&script).await;
        if forgotten.unwrap_or(0) < AT_ONCE {
            return;
        }
    }
}

/// Hears what workers are told.
pub(super) async fn hear(runs: &Runs, parked: &Notify) -> Infallible {
    let shared = &runs.shared;
    let mut ear = loop {
        match Ear::new(shared.address.clone(), shared.channel(super::ORDERS)).await {
            Ok(ear) => break ear,
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    };
    loop {
        match ear.next().await {
            Heard::Message(lines) => {
                for told in lines.lines().filter_map(Told::parse) {
                    match told {
                        Told::Cancel(task) => {
                            let row = shared.held.row_of(task);
                            shared.held.cancelled(row.into_iter());
                        }
                        Told::Parked => parked.notify_one(),
                    }
                }
            }
            // The heartbeat finds what was cancelled meanwhile.
            Heard::Gap => parked.notify_one(),
        }
    }
}
