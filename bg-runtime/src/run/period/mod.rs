//! Periods: what the servers of one `Background` begin and end together.
//!
//! ```text
//!           the last server ends
//!  Open ──────────────────────────> Draining ──────> Drained
//!   │ ^                                                 │
//!   │ └───────────────────── serve ─────────────────────┤
//!   └──────────────── shutdown() ──> Draining <─────────┘ shutdown()
//!                                       └──────────> ShutDown
//! ```
//!
//! A period ends with a report, and the books are closed until the next `serve` begins another. A
//! [`Serving`] keeps its period open, and the last one to end drains it.
//!
//! A run takes no lock to know its signals: it keeps the *number* of those that were there when it
//! began, and looks them up if it asks. Those of an earlier number have been given.

mod drain;
mod serving;
mod signals;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slab::Slab;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(in crate::run) use self::drain::{BeginShutdown, DrainGuard};
pub(in crate::run) use self::serving::Leave;
pub(crate) use self::serving::{AlreadyShutDown, Serving};
use self::signals::StopSignals;
use super::ShutdownReport;
use crate::sync::Mutex;

/// Until when the books are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) enum Closed {
    /// A drain was the end of a period. New tasks are refused.
    UntilServe,
    /// A shutdown. New tasks are aborted.
    ForGood,
}

/// The periods of one runner.
pub(in crate::run) struct Periods {
    pub(in crate::run) drain_timeout: Duration,
    state: Mutex<PeriodState>,
    /// The number of the signals in `state`, for runs that begin, which take no lock for it.
    number: AtomicU64,
    /// When the tasks that wait have to be done.
    deadline: watch::Sender<Deadline>,
}

/// See [`PeriodState::deadline`].
#[derive(Default)]
struct Deadline {
    end: Option<Instant>,
    /// How many there were before it, so that of two threads that tell one, the later is kept.
    number: u64,
}

struct PeriodState {
    stage: Stage,
    /// The servers that run, each with its deadline once it was told to stop.
    servers: Slab<Option<Instant>>,
    signals: StopSignals,
    /// How many deadlines there were.
    deadlines: u64,
}

enum Stage {
    Open,
    Draining(Draining),
    Drained,
    /// `None` if the shutdown was dropped before it had its report. The next one makes it.
    ShutDown(Option<ShutdownReport>),
}

/// A drain that is under way, as others see it.
struct Draining {
    deadline: Instant,
    hurry: CancellationToken,
    /// Cancelled when the drain is over, or dropped.
    ended: CancellationToken,
}

impl PeriodState {
    fn all_told(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|(_, told)| told.is_some())
    }

    /// Returns when tasks that wait give up: at the end of the drain that is under way; before it begins,
    /// at the latest of the servers' own, if all of them were told to stop.
    fn deadline(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Draining(draining) => Some(draining.deadline),
            Stage::Open if self.all_told() => {
                self.servers.iter().filter_map(|(_, told)| *told).max()
            }
            Stage::Open | Stage::Drained | Stage::ShutDown(_) => None,
        }
    }

    /// Gives the signal that the shutdown begins, if no server runs on.
    fn stop_if_all_told(&mut self) -> Option<CancellationToken> {
        (self.all_told() && !self.signals.stopping.given).then(|| self.signals.stopping.give())
    }
}

impl Periods {
    pub(in crate::run) fn new(drain_timeout: Duration) -> Self {
        Self {
            drain_timeout,
            state: Mutex::new(PeriodState {
                stage: Stage::Open,
                servers: Slab::new(),
                signals: StopSignals::default(),
                deadlines: 0,
            }),
            number: AtomicU64::new(0),
            deadline: watch::Sender::default(),
        }
    }

    /// Returns the number of the current signals.
    pub(in crate::run) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Returns the token that asks runs to stop which began with the signals of this number.
    pub(in crate::run) fn cancellation(&self, number: u64) -> CancellationToken {
        self.state.lock().signals.cancellation(number)
    }

    /// Returns the token that says that the shutdown has begun. `number` as in
    /// [`cancellation`](Self::cancellation).
    pub(in crate::run) fn stopping(&self, number: u64) -> CancellationToken {
        self.state.lock().signals.stopping(number)
    }

    pub(in crate::run) fn is_shut_down(&self) -> bool {
        matches!(self.state.lock().stage, Stage::ShutDown(_))
    }

    /// Resolves once a shutdown is under way that ends before `until`.
    pub(in crate::run) async fn ends_before(&self, until: Instant) {
        let mut deadline = self.deadline.subscribe();
        let is_sooner = |deadline: &Deadline| deadline.end.is_some_and(|end| end < until);
        // Never an error, because `self` has the sender.
        let _ = deadline.wait_for(is_sooner).await;
    }

    /// Tells tasks that wait of a new deadline. Not to be called under the lock: it wakes them.
    fn tell_deadline(&self) {
        let latest = {
            let state = &mut *self.state.lock();
            state.deadlines += 1;
            Deadline {
                end: state.deadline(),
                number: state.deadlines,
            }
        };
        self.deadline.send_if_modified(|told| {
            let is_later = latest.number > told.number;
            let is_changed = is_later && latest.end != told.end;
            if is_later {
                *told = latest;
            }
            is_changed
        });
    }
}
