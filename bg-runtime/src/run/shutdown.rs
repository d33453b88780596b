use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::period::{BeginShutdown, DrainGuard, Leave, Serving};
use super::settle::settle_rest;
use super::unfinished::UnfinishedTask;
use super::{Runner, Stats, global};
use crate::log_target::RUNTIME;

/// The time that tasks have after [`TaskContext::cancelled`](crate::TaskContext::cancelled) has completed,
/// and the time that async error hooks have after that.
const GRACE: Duration = Duration::from_secs(1);

/// The time in which one of the aborted futures has to be dropped, or what is left is settled without. Dropping one
/// takes no longer than the poll that it is in, and the reports of its tasks.
const ABORTING: Duration = Duration::from_millis(100);

/// Waits for all tasks until `deadline`, asks those left to stop, aborts those that do not, and closes the
/// books for good. Every call gets the report of the first.
pub(super) async fn shut_down(runner: &Arc<Runner>, deadline: Instant) -> ShutdownReport {
    loop {
        match DrainGuard::begin_shutdown(runner, deadline) {
            BeginShutdown::Done(report) => return report,
            BeginShutdown::Later(drained) => drained.cancelled().await,
            BeginShutdown::Drain(guard) => {
                let report = drain(guard, deadline).await;
                global::forget(runner);
                return report;
            }
        }
    }
}

/// Ends a server. The last one drains the tasks; for the others, the report is the state now.
pub(super) async fn end_serving(
    runner: &Runner,
    mut serving: Serving,
    deadline: Instant,
) -> ShutdownReport {
    loop {
        match serving.leave(deadline) {
            Leave::OthersRun => return runner.ledger.report_so_far(),
            Leave::Drain(guard) => return drain(guard, deadline).await,
            Leave::Later { ended, hurry } => {
                tokio::select! {
                    biased;
                    () = ended.cancelled() => {}
                    () = serving.hurry().cancelled() => {
                        hurry.cancel();
                        ended.cancelled().await;
                    }
                }
            }
        }
    }
}

/// Resolves once every task has an outcome, and nothing is held. In a test, runs what is recorded first.
async fn idle(runner: &Arc<Runner>) {
    runner.dispatch.run_remaining(runner).await;
    runner.ledger.idle().await;
}

/// Ends a period, and makes its report. May be dropped and begun again: what it has done so far stays in
/// the books.
async fn drain(mut guard: Box<DrainGuard>, deadline: Instant) -> ShutdownReport {
    let begun = Instant::now();
    let runner = &guard.runner().clone();
    guard.tell_tasks();
    let mut idle = pin!(idle(runner));
    tokio::select! {
        biased;
        // Replaced, because the wait below polls it again.
        () = &mut idle => idle.set(self::idle(runner)),
        () = tokio::time::sleep_until(deadline) => {}
        () = guard.hurry().cancelled() => {}
    }
    guard.give_up();
    let _ = tokio::time::timeout(GRACE, idle).await;

    let aborting = abort_futures(&mut guard);
    while let before @ 1.. = runner.ledger.open_tasks() {
        let _ = tokio::time::timeout(ABORTING, runner.ledger.idle()).await;
        if runner.ledger.open_tasks() == before && !runner.ledger.is_dropping() {
            break;
        }
    }
    drop(aborting);
    // The async hooks that report the aborted tasks hold the books.
    let told = tokio::time::timeout(GRACE, runner.ledger.idle());
    if told.await.is_err() {
        tracing::error!(
            target: RUNTIME,
            "async error hooks or detached handlers did not finish, and are left behind"
        );
    }
    #[cfg(feature = "durable")]
    super::worker::end_working(runner).await;
    end_period(*guard, begun.elapsed())
}

/// Closes the books, and aborts the futures of what is left in them. Dropping the result settles those tasks whose
/// futures were not dropped until then.
///
/// A future that is dropped gives its tasks to their reports, which is why those come first. Others cannot be
/// dropped: one that blocks its thread, and a response that an open connection holds.
pub(super) fn abort_futures(guard: &mut DrainGuard) -> SettleRest {
    let closed = guard.close_books();
    let runner = guard.runner();
    // Before anything is released, so that nothing begins.
    runner.ledger.close(closed);
    runner.limits.close();
    runner.aborts.abort_all();
    SettleRest(runner.clone())
}

/// See [`abort_futures`].
pub(super) struct SettleRest(Arc<Runner>);

impl Drop for SettleRest {
    fn drop(&mut self) {
        settle_rest(&self.0);
    }
}

/// Makes the report of a period, which is over.
pub(super) fn end_period(guard: DrainGuard, drained_for: Duration) -> ShutdownReport {
    let report = guard.runner().ledger.report(drained_for);
    guard.finish(report.clone());
    report
}

/// The result of a [`serve`](crate::Background::serve) or a
/// [`shutdown`](crate::Background::shutdown): the counts since the report before it, and the tasks that did
/// not finish.
///
/// Every task is in exactly one report of a drain, but for those that a [`Serve`](crate::Serve) reports
/// that ends while others run: its report is the state at that moment, and the one that drains the tasks
/// counts them again.
///
/// Displays as one line of totals, and one line for each task that did not finish.
#[derive(Debug, Clone)]
pub struct ShutdownReport {
    stats: Stats,
    unfinished: Vec<UnfinishedTask>,
    /// How many tasks are unfinished, and not named, because they are too many.
    unnamed: u64,
    given_back: u64,
    /// `None` if nothing was drained, because other servers run.
    elapsed: Option<Duration>,
}

impl ShutdownReport {
    pub(super) fn new(
        stats: Stats,
        unfinished: Vec<UnfinishedTask>,
        unnamed: u64,
        given_back: u64,
        elapsed: Option<Duration>,
    ) -> Self {
        Self {
            stats,
            unfinished,
            unnamed,
            given_back,
            elapsed,
        }
    }

    /// The counts since the report before this one; since the start, if it is the first.
    ///
    /// After a drain, nothing is pending or running any more. In the report of a server that ended while
    /// others run, these two are the tasks that it leaves to them.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The tasks that the shutdown aborted, and those that were aborted before it because their runtime
    /// is gone; oldest first.
    ///
    /// Of the second kind, the first 1,000 since the report before this one are named.
    #[must_use]
    pub fn unfinished(&self) -> &[UnfinishedTask] {
        &self.unfinished
    }

    /// How many durable tasks the shutdown stopped, or did not let begin, and gave back to their store, where they
    /// wait for another worker. They have not used up an attempt.
    #[must_use]
    pub fn given_back(&self) -> u64 {
        self.given_back
    }

    /// Returns `true` if no task is [unfinished](Self::unfinished).
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// The time for which the shutdown waited for tasks. Zero if it left them to other servers.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed.unwrap_or_default()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats {
            pending,
            running,
            completed,
            failed,
            skipped,
            aborted,
            ..
        } = self.stats;
        write!(
            f,
            "background tasks: {completed} completed, {failed} failed, {skipped} skipped, {aborted} aborted; "
        )?;
        match self.elapsed {
            Some(elapsed) => write!(f, "drained in {elapsed:.1?}")?,
            None => write!(
                f,
                "{} left to the servers that still run",
                pending.saturating_add(running)
            )?,
        }
        for task in &self.unfinished {
            write!(f, "\n  not finished: {task}")?;
        }
        if self.given_back > 0 {
            write!(f, "\n  given back to the store: {}", self.given_back)?;
        }
        if self.unnamed > 0 {
            write!(f, "\n  not finished: {} more", self.unnamed)?;
        }
        Ok(())
    }
}
