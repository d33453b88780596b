//! One `Background`, and the servers that come and go on it.

use std::{ops::Range, time::Duration};

use bg_runtime::Overflow;
use fastrand::Rng;
use tests::{Flavour, Serving};

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
    pub(crate) flavour: Flavour,
    pub(crate) isolated: Option<usize>,
    pub(crate) max_concurrent: Option<usize>,
    pub(crate) max_pending: Option<(usize, Overflow)>,
    pub(crate) max_blocking: Option<usize>,
    /// Whether tasks may run again. False if refusals are counted: a task that waits for its next
    /// run is let in beyond the limit.
    pub(crate) retries: bool,
    pub(crate) async_hook: bool,
    /// Whether a layer inside of the library's answers for handlers that panic.
    pub(crate) catches_panics: bool,
    pub(crate) drain_timeout: Duration,
    pub(crate) at_once: usize,
    /// One after the other.
    pub(crate) terms: Vec<TermPlan>,
    /// Whether the last term is followed by a shutdown. If not, the last server has drained the tasks.
    pub(crate) shuts_down: bool,
}

/// A time in which servers run, from the start of all of them to the end of the last.
#[derive(Debug, Clone)]
pub(crate) struct TermPlan {
    pub(crate) servers: Vec<ServerPlan>,
    /// The numbers of its connections.
    pub(crate) connections: Range<u64>,
    /// The servers are told to stop before this connection is made.
    pub(crate) stop_before: u64,
    /// Spawned when they are told, for the shutdown to deal with.
    pub(crate) last_tasks: Vec<TaskPlan>,
}

/// One server of a term.
#[derive(Debug, Clone)]
pub(crate) struct ServerPlan {
    pub(crate) serving: Serving,
    /// How much later than the first it is told to stop.
    pub(crate) stop_wait: Duration,
}

impl RoundPlan {
    pub(crate) fn draw(seed: u64, round: u64) -> Self {
        let rng = &mut draw(seed, &[round]);
        let flavour = Flavour::ALL[rng.usize(..Flavour::ALL.len())];
        let max_pending = match rng.u32(0..4) {
            0 => Some((rng.usize(2..40), Overflow::Wait)),
            1 => Some((rng.usize(2..40), Overflow::Reject)),
            _ => None,
        };
        let counts_refusals = matches!(max_pending, Some((_, Overflow::Reject)));
        let is_warm_up = round < WARM_UP;
        let connections = if is_warm_up { 400 } else { 150 };
        let retries = !counts_refusals;
        let terms = match chance(rng, 70) {
            true => vec![TermPlan::draw(rng, 0..connections, retries, true)],
            false => {
                let half = connections / 2;
                let first = TermPlan::draw(rng, 0..half, retries, false);
                let mut second = TermPlan::draw(rng, half..connections, retries, true);
                if first.has_drain() {
                    // After a drain, tasks are refused until the next `serve`.
                    let refused = second.servers.iter_mut();
                    refused
                        .filter(|server| !server.serving.drains())
                        .for_each(|server| server.serving = Serving::Background);
                }
                vec![first, second]
            }
        };
        Self {
            seed,
            round,
            flavour,
            isolated: chance(rng, 30).then(|| rng.usize(1..=2)),
            max_concurrent: chance(rng, 40).then(|| rng.usize(1..=12)),
            max_pending,
            max_blocking: chance(rng, 40).then(|| rng.usize(1..=6)),
            retries,
            async_hook: chance(rng, 40),
            catches_panics: chance(rng, 30),
            drain_timeout: millis(rng, 50..=1500),
            at_once: match is_warm_up {
                true => 32,
                false => rng.usize(4..=16),
            },
            shuts_down: terms.last().is_some_and(TermPlan::needs_shutdown) || rng.bool(),
            terms,
        }
    }

    /// The term in which the connection of this number is made.
    pub(crate) fn term_of(&self, connection: u64) -> &TermPlan {
        let term = self
            .terms
            .iter()
            .find(|term| term.connections.contains(&connection));
        term.expect("each connection is made in a term")
    }

    /// How many tasks may wait at any moment.
    pub(crate) fn pending_limit(&self) -> Option<usize> {
        match self.max_pending {
            Some((limit, Overflow::Reject)) => Some(limit),
            _ => None,
        }
    }
}

impl TermPlan {
    fn draw(rng: &mut Rng, connections: Range<u64>, retries: bool, is_last: bool) -> Self {
        let servers = match rng.u32(0..10) {
            0..=5 => 1,
            6..=8 => 2,
            _ => 3,
        };
        let servers: Vec<_> = (0..servers).map(|_| ServerPlan::draw(rng)).collect();
        let drains = servers.iter().any(|server| server.serving.drains());
        let freedom = Freedom {
            retries,
            // What no drain ends would take its room from the requests of the next term.
            may_outlast_shutdown: drains || is_last,
        };
        let half = (connections.start + connections.end) / 2;
        Self {
            servers,
            stop_before: rng.u64(half..=connections.end),
            connections,
            last_tasks: (0..rng.usize(0..6))
                .map(|_| TaskPlan::draw(rng, freedom))
                .collect(),
        }
    }

    /// Returns whether a server drains the tasks at its end, after which they are refused.
    fn has_drain(&self) -> bool {
        self.servers.iter().any(|server| server.serving.drains())
    }

    /// Returns whether it may leave tasks that no server drains.
    fn needs_shutdown(&self) -> bool {
        self.servers.iter().any(|server| !server.serving.drains())
    }
}

impl ServerPlan {
    fn draw(rng: &mut Rng) -> Self {
        Self {
            serving: match rng.u32(0..10) {
                0 => Serving::Layer,
                1 => Serving::DetachedLayer,
                2 => Serving::DetachedBackground,
                3 => Serving::Connection,
                _ => Serving::Background,
            },
            stop_wait: match chance(rng, 50) {
                true => Duration::ZERO,
                false => millis(rng, 0..=20),
            },
        }
    }
}
