use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::settle::close_books;
use super::unfinished::UnfinishedTask;
use super::{Runner, Stats};

/// How long tasks have after [`TaskContext::cancelled`](crate::TaskContext::cancelled) has
/// completed, and how long async error hooks have after that.
const GRACE: Duration = Duration::from_secs(1);

/// What a shutdown shares with the tasks that it waits for.
pub(super) struct Shutdown {
    pub(super) drain_timeout: Duration,
    /// The end of the shutdown that is under way.
    deadline: watch::Sender<Option<Instant>>,
    /// Asks running tasks to stop, through their `TaskContext`.
    pub(super) cancel: CancellationToken,
    /// Ends the wait of a shutdown early.
    pub(super) hurry: CancellationToken,
    report: OnceCell<ShutdownReport>,
}

impl Shutdown {
    pub(super) fn new(drain_timeout: Duration) -> Self {
        Self {
            drain_timeout,
            deadline: watch::Sender::new(None),
            cancel: CancellationToken::new(),
            hurry: CancellationToken::new(),
            report: OnceCell::new(),
        }
    }

    /// Lets tasks that wait know when the shutdown ends: those that would wait for longer give up.
    pub(super) fn set_deadline(&self, deadline: Instant) -> Deadline<'_> {
        self.deadline.send_replace(Some(deadline));
        Deadline(self)
    }

    /// Resolves once a shutdown is under way that ends before `due`.
    pub(super) async fn ends_before(&self, due: Instant) {
        let mut deadline = self.deadline.subscribe();
        let is_sooner = |deadline: &Option<Instant>| deadline.is_some_and(|end| end < due);
        // Its sender lives as long as this does.
        let _ = deadline.wait_for(is_sooner).await;
    }
}

/// Keeps the end of a shutdown known while it lives. Not for longer than the shutdown itself, whose
/// future may be dropped.
pub(crate) struct Deadline<'a>(&'a Shutdown);

impl Drop for Deadline<'_> {
    fn drop(&mut self) {
        self.0.deadline.send_replace(None);
    }
}

/// Waits for all tasks until `deadline`, asks those left to stop, and aborts those that do not.
/// Every call gets the report of the first.
pub(super) async fn shut_down(runner: &Arc<Runner>, deadline: Instant) -> ShutdownReport {
    let report = &runner.shutdown.report;
    report.get_or_init(|| drain(runner, deadline)).await.clone()
}

/// Resolves once every task has an outcome.
async fn idle(runner: &Arc<Runner>) {
    runner.dispatch.run_remaining(runner).await;
    runner.ledger.idle().await;
}

/// May be dropped and begun again: the books keep what it has done so far.
async fn drain(runner: &Arc<Runner>, deadline: Instant) -> ShutdownReport {
    let begun = Instant::now();
    let shutdown = &runner.shutdown;
    let _deadline = shutdown.set_deadline(deadline);
    let mut idle = pin!(idle(runner));
    tokio::select! {
        biased;
        () = &mut idle => idle.set(self::idle(runner)),
        () = tokio::time::sleep_until(deadline) => {}
        () = shutdown.hurry.cancelled() => {}
    }
    // Tasks that wait give up now, before those that run are asked to stop.
    shutdown.deadline.send_replace(Some(Instant::now()));
    shutdown.cancel.cancel();
    let _ = tokio::time::timeout(GRACE, idle).await;

    // The books first: the destructors of what is aborted below find their tasks settled, as aborted
    // by a shutdown and not as lost.
    close_books(runner);
    runner.limits.close();
    runner.aborts.abort_all();
    // For the hooks that report the aborted tasks.
    let told = tokio::time::timeout(GRACE, runner.ledger.idle());
    if told.await.is_err() {
        tracing::error!(
            "async error hooks or detached handlers did not finish, and are left behind"
        );
    }
    ShutdownReport {
        stats: runner.stats(),
        unfinished: runner.ledger.unfinished(),
        elapsed: begun.elapsed(),
    }
}

/// Returns the end of a wait that begins at `begun`. Waits that no clock can represent end in thirty
/// years.
pub(crate) fn deadline(begun: Instant, wait: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    begun + wait.min(LONG)
}

/// How a shutdown went.
///
/// Displays as one line of totals, and one line for each task that did not finish.
#[derive(Debug, Clone)]
pub struct ShutdownReport {
    stats: Stats,
    unfinished: Vec<UnfinishedTask>,
    elapsed: Duration,
}

impl ShutdownReport {
    /// The final counts; nothing is pending or running any more.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The tasks that the shutdown aborted, oldest first.
    #[must_use]
    pub fn unfinished(&self) -> &[UnfinishedTask] {
        &self.unfinished
    }

    /// Whether every task had finished in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// How long the shutdown waited for tasks.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Stats {
            completed,
            failed,
            skipped,
            aborted,
            ..
        } = self.stats;
        write!(
            f,
            "background tasks: {completed} completed, {failed} failed, {skipped} skipped, {aborted} aborted; \
             drained in {:.1?}",
            self.elapsed
        )?;
        for task in &self.unfinished {
            write!(f, "\n  not finished: {task}")?;
        }
        Ok(())
    }
}
