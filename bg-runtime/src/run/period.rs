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

use std::mem::replace;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slab::Slab;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Runner, ShutdownReport};
use crate::sync::Mutex;

/// Until when the books are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// A drain was the end of a period. New tasks are refused.
    UntilServe,
    /// A shutdown. New tasks are aborted.
    ForGood,
}

/// The periods of one runner.
pub(super) struct Periods {
    pub(super) drain_timeout: Duration,
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

/// The signals that tasks, streams and sockets wait for. A server that begins replaces those that were
/// given: they were for others.
struct StopSignals {
    number: u64,
    /// A shutdown has begun, or the last server was told to stop.
    stopping: StopSignal,
    /// Running tasks are asked to stop.
    cancel: StopSignal,
    /// The first number that has this `cancel`.
    cancel_since: u64,
    /// `shutdown()` was called. The parent of what each server says to its own connections.
    closing: StopSignal,
}

/// A token, and whether it is given, which is known before the token is cancelled: that wakes the
/// user's code, and so is not done under the lock.
#[derive(Default)]
struct StopSignal {
    token: CancellationToken,
    given: bool,
}

impl StopSignal {
    #[must_use = "the token is to be cancelled outside of the lock"]
    fn give(&mut self) -> CancellationToken {
        self.given = true;
        self.token.clone()
    }

    fn renew_if_given(&mut self) -> bool {
        let given = self.given;
        if given {
            *self = Self::default();
        }
        given
    }
}

impl StopSignals {
    /// Replaces the signals that were given.
    fn renew(&mut self) {
        // Each of these is given after the one before it, or together with it.
        let is_new = self.stopping.renew_if_given();
        self.number += u64::from(is_new);
        if self.cancel.renew_if_given() {
            self.cancel_since = self.number;
        }
        self.closing.renew_if_given();
    }
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
    pub(super) fn new(drain_timeout: Duration) -> Self {
        Self {
            drain_timeout,
            state: Mutex::new(PeriodState {
                stage: Stage::Open,
                servers: Slab::new(),
                signals: StopSignals {
                    number: 0,
                    stopping: StopSignal::default(),
                    cancel: StopSignal::default(),
                    cancel_since: 0,
                    closing: StopSignal::default(),
                },
                deadlines: 0,
            }),
            number: AtomicU64::new(0),
            deadline: watch::Sender::default(),
        }
    }

    /// Returns the number of the current signals.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Returns the token that asks runs to stop which began with the signals of this number.
    pub(super) fn cancellation(&self, number: u64) -> CancellationToken {
        let signals = &self.state.lock().signals;
        if number < signals.cancel_since {
            return cancelled();
        }
        signals.cancel.token.clone()
    }

    /// Returns the token that says that the shutdown has begun. `number` as in
    /// [`cancellation`](Self::cancellation).
    pub(super) fn stopping(&self, number: u64) -> CancellationToken {
        let signals = &self.state.lock().signals;
        if number < signals.number {
            return cancelled();
        }
        signals.stopping.token.clone()
    }

    pub(super) fn is_shut_down(&self) -> bool {
        matches!(self.state.lock().stage, Stage::ShutDown(_))
    }

    /// Resolves once a shutdown is under way that ends before `until`.
    pub(super) async fn ends_before(&self, until: Instant) {
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

fn cancelled() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

/// A server that runs, and keeps its period open. Dropping it lets go of the period without a drain.
pub(crate) struct Serving {
    runner: Arc<Runner>,
    /// `None` once it has left.
    key: Option<usize>,
    stopping: CancellationToken,
    hurry: CancellationToken,
}

/// The `Background` was shut down, so no server can begin.
#[derive(Debug)]
pub(crate) struct AlreadyShutDown;

/// What the end of a server means for the others.
pub(super) enum Leave {
    OthersRun,
    /// It was the last.
    Drain(Box<DrainGuard>),
    /// A shutdown drains already, and `hurry` ends its wait. To be asked again when it has `ended`.
    Later {
        ended: CancellationToken,
        hurry: CancellationToken,
    },
}

impl Serving {
    /// Begins to serve: joins the period that is open, or opens one. Waits for the end of a drain that is
    /// under way.
    pub(super) async fn begin(runner: &Arc<Runner>) -> Result<Self, AlreadyShutDown> {
        loop {
            match Self::try_begin(runner) {
                Ok(serving) => {
                    runner.periods.tell_deadline();
                    return Ok(serving);
                }
                Err(Some(drained)) => drained.cancelled().await,
                Err(None) => return Err(AlreadyShutDown),
            }
        }
    }

    /// The error is the end of the drain to wait for; `None` after a shutdown.
    fn try_begin(runner: &Arc<Runner>) -> Result<Self, Option<CancellationToken>> {
        let state = &mut *runner.periods.state.lock();
        let is_closed = match &state.stage {
            Stage::ShutDown(_) => return Err(None),
            Stage::Draining(draining) => return Err(Some(draining.ended.clone())),
            Stage::Open => false,
            Stage::Drained => true,
        };
        state.signals.renew();
        let signals = &state.signals;
        runner
            .periods
            .number
            .store(signals.number, Ordering::Release);
        let stopping = signals.closing.token.child_token();
        if is_closed {
            // After the signals: no task of this period sees those of the last.
            runner.aborts.open();
            runner.limits.open();
            runner.ledger.open();
            state.stage = Stage::Open;
        }
        Ok(Self {
            runner: runner.clone(),
            key: Some(state.servers.insert(None)),
            stopping,
            hurry: CancellationToken::new(),
        })
    }

    /// Returns the token that is cancelled when this server is told to stop, or its `Background` is shut
    /// down.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }

    /// Returns the token that ends the wait of [`end`](Self::end) early.
    pub(crate) fn hurry(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Notes that the server was told to stop, and ends at `deadline`.
    pub(crate) fn stop(&self, deadline: Instant) {
        let Some(key) = self.key else { return };
        let all_stop = {
            let state = &mut *self.runner.periods.state.lock();
            state.servers[key] = Some(deadline);
            state.stop_if_all_told()
        };
        self.stopping.cancel();
        self.runner.periods.tell_deadline();
        if let Some(all_stop) = all_stop {
            all_stop.cancel();
        }
    }

    /// Ends the server, whose connections have ended. The last one drains the tasks.
    pub(crate) async fn end(mut self, deadline: Instant) -> ShutdownReport {
        super::shutdown::end_serving(&mut self, deadline).await
    }

    pub(super) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// Leaves, unless a drain is under way.
    pub(super) fn leave(&mut self, deadline: Instant) -> Leave {
        let periods = &self.runner.periods;
        let state = &mut *periods.state.lock();
        let others = state.servers.len() > usize::from(self.key.is_some());
        if let (Stage::Draining(draining), false) = (&state.stage, others) {
            return Leave::Later {
                ended: draining.ended.clone(),
                hurry: draining.hurry.clone(),
            };
        }
        if let Some(key) = self.key.take() {
            state.servers.remove(key);
        }
        if others {
            return Leave::OthersRun;
        }
        let hurry = self.hurry.clone();
        let closed = Closed::UntilServe;
        let guard = DrainGuard::begin(&self.runner, state, closed, deadline, hurry);
        Leave::Drain(Box::new(guard))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let Some(key) = self.key.take() else { return };
        let all_stop = {
            let state = &mut *self.runner.periods.state.lock();
            state.servers.remove(key);
            state.stop_if_all_told()
        };
        self.runner.periods.tell_deadline();
        if let Some(all_stop) = all_stop {
            all_stop.cancel();
        }
    }
}

/// A drain that is under way. Dropping it ends it: the period goes on if the books were not closed yet,
/// with the signals that were given.
pub(super) struct DrainGuard {
    runner: Arc<Runner>,
    before: Option<Stage>,
    /// Until when it closes the books.
    closed: Closed,
    has_closed: bool,
    hurry: CancellationToken,
    report: Option<ShutdownReport>,
}

/// What a shutdown finds.
pub(super) enum BeginShutdown {
    Drain(Box<DrainGuard>),
    /// Another drain is under way: to be asked again when the token is cancelled.
    Later(CancellationToken),
    Done(ShutdownReport),
}

impl DrainGuard {
    /// Begins the drain of a shutdown.
    pub(super) fn begin_shutdown(runner: &Arc<Runner>, deadline: Instant) -> BeginShutdown {
        let (guard, closing) = {
            let state = &mut *runner.periods.state.lock();
            match &state.stage {
                Stage::ShutDown(Some(report)) => return BeginShutdown::Done(report.clone()),
                Stage::Draining(draining) => return BeginShutdown::Later(draining.ended.clone()),
                Stage::Open | Stage::Drained | Stage::ShutDown(None) => {}
            }
            let closing = state.signals.closing.give();
            let hurry = CancellationToken::new();
            let guard = Self::begin(runner, state, Closed::ForGood, deadline, hurry);
            (guard, closing)
        };
        closing.cancel();
        BeginShutdown::Drain(Box::new(guard))
    }

    fn begin(
        runner: &Arc<Runner>,
        state: &mut PeriodState,
        closed: Closed,
        deadline: Instant,
        hurry: CancellationToken,
    ) -> Self {
        let draining = Stage::Draining(Draining {
            deadline,
            hurry: hurry.clone(),
            ended: CancellationToken::new(),
        });
        let before = replace(&mut state.stage, draining);
        let closed = match before {
            Stage::ShutDown(_) => Closed::ForGood,
            Stage::Open | Stage::Draining(_) | Stage::Drained => closed,
        };
        Self {
            runner: runner.clone(),
            before: Some(before),
            closed,
            has_closed: false,
            hurry,
            report: None,
        }
    }

    pub(super) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(super) fn hurry(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Tells tasks that the shutdown has begun, and when it ends.
    pub(super) fn tell_tasks(&self) {
        let periods = &self.runner.periods;
        let stopping = periods.state.lock().signals.stopping.give();
        periods.tell_deadline();
        stopping.cancel();
    }

    /// Lets tasks that wait give up, and asks those that run to stop.
    pub(super) fn give_up(&self) {
        let periods = &self.runner.periods;
        let cancel = {
            let state = &mut *periods.state.lock();
            if let Stage::Draining(draining) = &mut state.stage {
                draining.deadline = Instant::now();
            }
            state.signals.cancel.give()
        };
        // First, tasks that wait give up; then, tasks that run are asked to stop.
        periods.tell_deadline();
        cancel.cancel();
    }

    /// Notes that the books are being closed, and returns until when. From now on, dropping this leaves
    /// them closed.
    pub(super) fn close_books(&mut self) -> Closed {
        self.has_closed = true;
        self.closed
    }

    pub(super) fn finish(mut self, report: ShutdownReport) {
        self.report = Some(report);
    }

    /// Returns the stage that follows the drain.
    fn next(&mut self) -> Stage {
        let before = self.before.take().unwrap_or(Stage::Open);
        match (before, self.closed) {
            // Every later call of `shutdown()` gets the report of the first.
            (Stage::ShutDown(Some(report)), _) => Stage::ShutDown(Some(report)),
            (before, _) if !self.has_closed => before,
            (_, Closed::ForGood) => Stage::ShutDown(self.report.take()),
            (_, Closed::UntilServe) => Stage::Drained,
        }
    }
}

impl Drop for DrainGuard {
    fn drop(&mut self) {
        let next = self.next();
        let periods = &self.runner.periods;
        let ended = replace(&mut periods.state.lock().stage, next);
        periods.tell_deadline();
        if let Stage::Draining(draining) = ended {
            draining.ended.cancel();
        }
    }
}
