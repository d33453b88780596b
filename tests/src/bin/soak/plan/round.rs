//! One server with one `Background`, and how long it lives.

use std::time::Duration;

use bg_runtime::Overflow;
use tests::{Flavour, Serving, Setup};

use super::tasks::{Freedom, TaskPlan};
use super::{chance, draw, millis};

/// The number of rounds that come first. They are larger than any that follow, so that afterwards
/// the process has had all the memory that it needs.
pub(crate) const WARM_UP: u64 = 4;

/// What is decided once for a whole round.
#[derive(Debug, Clone)]
pub(crate) struct RoundPlan {
    pub(crate) seed: u64,
    pub(crate) round: u64,
    pub(crate) setup: Setup,
    pub(crate) isolated: Option<usize>,
    pub(crate) max_concurrent: Option<usize>,
    pub(crate) max_pending: Option<(usize, Overflow)>,
    /// Whether tasks may run again. False if refusals are counted: a task that waits for its next
    /// run is let in beyond the limit.
    pub(crate) retries: bool,
    pub(crate) async_hook: bool,
    /// Whether a layer inside of the library's answers for handlers that panic.
    pub(crate) catches_panics: bool,
    pub(crate) drain_timeout: Duration,
    pub(crate) connections: u64,
    pub(crate) at_once: usize,
    /// The shutdown begins when this many connections have been made.
    pub(crate) stop_after: u64,
    /// Spawned when the shutdown begins, for it to deal with.
    pub(crate) last_tasks: Vec<TaskPlan>,
}

impl RoundPlan {
    pub(crate) fn draw(seed: u64, round: u64) -> Self {
        let rng = &mut draw(seed, &[round]);
        let flavour = Flavour::ALL[rng.usize(..Flavour::ALL.len())];
        let serving = if chance(rng, 20) {
            Serving::Layer
        } else {
            Serving::Background
        };
        let max_pending = match rng.u32(0..4) {
            0 => Some((rng.usize(2..40), Overflow::Wait)),
            1 => Some((rng.usize(2..40), Overflow::Reject)),
            _ => None,
        };
        let counts_refusals = matches!(max_pending, Some((_, Overflow::Reject)));
        let is_warm_up = round < WARM_UP;
        let connections = if is_warm_up { 400 } else { 150 };
        let freedom = Freedom {
            retries: !counts_refusals,
            may_outlast_shutdown: true,
        };
        Self {
            seed,
            round,
            setup: Setup { flavour, serving },
            isolated: chance(rng, 30).then(|| rng.usize(1..=2)),
            max_concurrent: chance(rng, 40).then(|| rng.usize(1..=12)),
            max_pending,
            retries: !counts_refusals,
            async_hook: chance(rng, 40),
            catches_panics: chance(rng, 30),
            drain_timeout: millis(rng, 50..=1500),
            connections,
            at_once: match is_warm_up {
                true => 32,
                false => rng.usize(4..=16),
            },
            stop_after: rng.u64(connections / 2..=connections),
            last_tasks: (0..rng.usize(0..6))
                .map(|_| TaskPlan::draw(rng, freedom))
                .collect(),
        }
    }

    /// How many tasks may wait at any moment.
    pub(crate) fn pending_limit(&self) -> Option<usize> {
        match self.max_pending {
            Some((limit, Overflow::Reject)) => Some(limit),
            _ => None,
        }
    }
}
