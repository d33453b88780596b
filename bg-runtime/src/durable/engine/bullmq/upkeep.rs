//! What each worker does now and then, for all of them: gives lost tasks to others, forgets old ones, and brings back those
//! that others did not know.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::ear::{Ear, Heard, Told};
use super::fields::wait;
use super::run::Runs;
use super::scripts::call;
use crate::durable::MOST_LOSSES;
use crate::durable::settings::StoreSettings;
use crate::log_target::RUNTIME;

/// How many completed tasks of a queue are kept at most.
const MOST_COMPLETED: u32 = 10_000;

/// How many are forgotten at once.
const AT_ONCE: u32 = 500;

/// How often is looked.
const LOOK: Duration = Duration::from_secs(1);

/// How soon an ear is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// Tasks that a worker has put aside because it does not know them.
#[derive(Default)]
pub(super) struct Parked {
    look: Notify,
    /// Whether there were more of those that are known here than there was room for.
    has_more: AtomicBool,
}

impl Parked {
    /// Notes that there may be room for one.
    pub(super) fn room(&self) {
        if self.has_more.load(Ordering::Relaxed) {
            self.look.notify_one();
        }
    }
}

pub(super) async fn keep_up(runs: &Runs, settings: &StoreSettings) -> Infallible {
    let rescues = settings.lease / 3;
    let every = LOOK.min(rescues.max(Duration::from_millis(1)));
    let mut rescued = None;
    let mut next = Instant::now();
    loop {
        bring_back(runs).await;
        if Instant::now() >= next {
            next = Instant::now() + every;
            if rescued.is_none_or(|at: Instant| at.elapsed() >= rescues) {
                rescued = Some(Instant::now());
                rescue(runs).await;
            }
            forget(runs, settings).await;
        }
        let _ = tokio::time::timeout_at(next, runs.parked.look.notified()).await;
    }
}

/// Has tasks wait again that workers have put aside which do not know them: as many as there is room for, so that few are
/// met by who does not know them once more.
async fn bring_back(runs: &Runs) {
    let shared = &runs.shared;
    let mut has_more = false;
    for (queue, _) in &runs.desk.queues {
        let mut script = call(&shared.prefix, |scripts| &scripts.unpark);
        // One at least: there may never be room where tasks that are known wait as well.
        let room = runs.rooms.free(queue).max(1);
        script.arg(queue).arg(room).arg(runs.desk.names);
        // If it fails, so do the claims, which the log is told of.
        let freed: Result<(u64, bool), _> = shared.link.run(&script).await;
        has_more |= freed.is_ok_and(|(_, has_more)| has_more);
    }
    runs.parked.has_more.store(has_more, Ordering::Relaxed);
}

/// Takes back what workers had that are lost.
async fn rescue(runs: &Runs) {
    let shared = &runs.shared;
    let mut script = call(&shared.prefix, |scripts| &scripts.rescue);
    script.arg(MOST_LOSSES).arg(wait(shared.lease / 4).max(1));
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
pub(super) async fn hear(runs: &Runs) -> Infallible {
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
                        Told::Parked { queue, name } => {
                            let is_ours = runs.desk.queues.iter().any(|(own, _)| *own == queue);
                            if is_ours && runs.desk.names.contains(&&*name) {
                                runs.parked.look.notify_one();
                            }
                        }
                    }
                }
            }
            // The heartbeat finds what was cancelled meanwhile.
            Heard::Gap => runs.parked.look.notify_one(),
        }
    }
}
