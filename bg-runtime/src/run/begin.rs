//! What a task waits for before a run: a time, and the permits of its limits. It waits no longer than until
//! the task has expired, or has been settled by something else.

use std::future::pending;
use std::sync::Arc;

use tokio::time::Instant;

use super::limits::{
    HeldForRun, LaterTurn, ListSlot, NoTurn, RateLine, RateTurn, RunLimit, RunLimits, RunPermit,
    RunPermits,
};
use super::order::run_single;
use super::task::{TaskEnd, aborted, settled, settled_meanwhile};
use super::{AcceptedTask, Runner};
use crate::task::{AbortReason, SkipReason};

/// Why a task that waits for a run has none.
pub(super) enum NoRun {
    /// Something else has settled it: a newer task, its handle, or the end of a shutdown.
    Settled,
    Expired,
    /// A shutdown ends before the wait would.
    ShutdownIsSooner,
}

impl NoRun {
    /// Settles the task, if it is not settled yet.
    pub(super) fn settle(self, task: AcceptedTask) -> Result<(), TaskEnd> {
        match self {
            Self::Settled => settled_meanwhile(task),
            Self::Expired => {
                let info = task.task.info();
                settled(info, task.try_skip(SkipReason::Expired))
            }
            Self::ShutdownIsSooner => Err(aborted(task, AbortReason::DueAfterShutdown)),
        }
    }
}

/// The time by which a task has to begin its first run.
#[derive(Clone, Copy)]
struct Expiry(Option<Instant>);

impl Expiry {
    fn of(task: &AcceptedTask) -> Self {
        Self(task.task.options().expires_at)
    }

    /// Reads the clock only if the task expires.
    fn is_over(self) -> bool {
        self.0.is_some_and(|at| at <= Instant::now())
    }

    async fn wait(self) {
        match self.0 {
            Some(at) => tokio::time::sleep_until(at).await,
            None => pending().await,
        }
    }
}

/// Waits until a time, outside the slot. The task is borrowed mutably because it is not `Sync`.
///
/// Rare, so boxed.
pub(super) async fn wait(
    runner: &Runner,
    task: &mut AcceptedTask,
    is_first: bool,
    until: Instant,
    slot: &mut ListSlot,
) -> Result<(), NoRun> {
    slot.release();
    Box::pin(async move {
        let expiry = if is_first {
            Expiry::of(task)
        } else {
            Expiry(None)
        };
        tokio::select! {
            biased;
            () = runner.periods.ends_before(until) => Err(NoRun::ShutdownIsSooner),
            () = task.permits.settled() => Err(NoRun::Settled),
            () = expiry.wait() => Err(NoRun::Expired),
            () = runner.dispatch.wait_until(until) => Ok(()),
        }
    })
    .await
}

/// Waits for the permits of a run. Releases the list's slot while it waits for anything else.
///
/// `thread` is the limit of one thread that the runs of a synchronous task have.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has space for its arguments twice"
)]
pub(super) fn acquire<'a>(
    runner: &'a Runner,
    task: &'a mut AcceptedTask,
    is_first: bool,
    thread: Option<&'a RunLimit>,
    slot: &'a mut ListSlot,
) -> impl Future<Output = Result<RunPermits, NoRun>> + Send + 'a {
    async move {
        let limits = runner.limits.of_run(&task.task.info(), &task.permits);
        let may_expire = is_first && Expiry::of(task).0.is_some();
        if limits.is_none() && slot.is_acquired() && !may_expire {
            return Ok(RunPermits::default());
        }
        // Rare, so boxed.
        Box::pin(async move {
            let expiry = if is_first {
                Expiry::of(task)
            } else {
                Expiry(None)
            };
            if expiry.is_over() {
                return Err(NoRun::Expired);
            }
            let permits = tokio::select! {
                biased;
                acquired = acquire_all(runner, limits, thread, slot) => acquired?,
                () = task.permits.settled() => return Err(NoRun::Settled),
                () = expiry.wait() => return Err(NoRun::Expired),
            };
            if expiry.is_over() {
                return Err(NoRun::Expired);
            }
            Ok(permits)
        })
        .await
    }
}

/// In the order that `run/limits` gives.
async fn acquire_all(
    runner: &Runner,
    limits: Option<RunLimits>,
    thread: Option<&RunLimit>,
    slot: &mut ListSlot,
) -> Result<RunPermits, NoRun> {
    let Some(limits) = limits else {
        slot.acquire().await;
        return Ok(RunPermits::default());
    };
    let thread = acquire_one(thread, slot).await;
    let key = match limits.key {
        Some((limit, key)) => {
            let permit = acquire_one(Some(&limit), slot).await;
            permit.map(|permit| (permit, key))
        }
        None => None,
    };
    let rate = match limits.rate {
        Some(line) => Some(acquire_turn(runner, line, slot).await?),
        None => None,
    };
    let name = acquire_one(limits.name.as_ref(), slot).await;
    let blocking = acquire_one(limits.blocking.as_ref(), slot).await;
    slot.acquire().await;
    Ok(RunPermits::new(HeldForRun {
        _thread: thread,
        _key: key,
        rate,
        _name: name,
        _blocking: blocking,
    }))
}

/// Acquires a permit, and releases the slot if that means waiting.
async fn acquire_one(limit: Option<&RunLimit>, slot: &mut ListSlot) -> Option<RunPermit> {
    let limit = limit?;
    if let Some(permit) = limit.try_acquire() {
        return Some(permit);
    }
    slot.release();
    Some(limit.acquire().await)
}

/// Acquires the turn to begin, and releases the slot if that means waiting.
async fn acquire_turn(
    runner: &Runner,
    line: Arc<RateLine>,
    slot: &mut ListSlot,
) -> Result<RateTurn, NoRun> {
    let head = match line.try_head() {
        Some(head) => head,
        None => {
            slot.release();
            line.head().await
        }
    };
    loop {
        let no_turn = match head.try_turn() {
            Ok(turn) => return Ok(turn),
            Err(no_turn) => no_turn,
        };
        slot.release();
        match no_turn {
            NoTurn::UntilABegin => head.moved().await,
            NoTurn::Until(until) => tokio::select! {
                biased;
                () = runner.periods.ends_before(until) => return Err(NoRun::ShutdownIsSooner),
                () = head.moved() => {}
                () = tokio::time::sleep_until(until) => {}
            },
        }
    }
}

/// Returns whether a spawned task may be over before its turn for a slot has come.
pub(super) fn may_end_in_line(task: &AcceptedTask) -> bool {
    Expiry::of(task).0.is_some() || task.permits.may_be_replaced()
}

/// Runs a spawned task when its turn has come, unless it is over before that.
pub(super) async fn run_in_turn(runner: Arc<Runner>, task: AcceptedTask, turn: LaterTurn) {
    let slot = tokio::select! {
        biased;
        slot = turn.wait() => Ok(slot),
        () = task.permits.settled() => Err(NoRun::Settled),
        () = Expiry::of(&task).wait() => Err(NoRun::Expired),
    };
    match slot {
        Ok(slot) => run_single(runner, task, slot).await,
        Err(no_run) => {
            // A task that belongs to no list keeps nothing from running.
            let _ = no_run.settle(task);
        }
    }
}
