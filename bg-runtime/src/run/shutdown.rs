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

/// The time that tasks have after [`TaskContext::cancelled`](crate::TaskContext::cancelled) has completed,
/// and the time that async error hooks have after that.
const GRACE: Duration = Duration::from_secs(1);

/// The state that a shutdown shares with the tasks that it waits for.
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

    /// Lets tasks that wait know when the shutdown ends. Those that would wait for longer give up.
    pub(super) fn set_deadline(&self, deadline: Instant) -> Deadline<'_> {
        self.deadline.send_replace(Some(deadline));
        Deadline(self)
    }

    /// Returns whether a shutdown has ended.
    pub(super) fn is_over(&self) -> bool {
        self.report.initialized()
    }

    /// Resolves once a shutdown is under way that ends before `until`.
    pub(super) async fn ends_before(&self, until: Instant) {
        let mut deadline = self.deadline.subscribe();
        let is_sooner = |deadline: &Option<Instant>| deadline.is_some_and(|end| end < until);
        // Never an error, because `self` has the sender.
        let _ = deadline.wait_for(is_sooner).await;
    }
}

/// Makes the end of a shutdown known while this lives, and no longer: the future of the shutdown may be
/// dropped, and then tasks wait as before.
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

/// Resolves once every task has an outcome, and nothing is held. In a test, runs what is recorded first.
async fn idle(runner: &Arc<Runner>) {
    runner.dispatch.run_remaining(runner).await;
    runner.ledger.idle().await;
}

/// Makes the report of [`shut_down`]. May be dropped and begun again: what it has done so far stays in the
/// books.
async fn drain(runner: &Arc<Runner>, deadline: Instant) -> ShutdownReport {
    let begun = Instant::now();
    let shutdown = &runner.shutdown;
    let _deadline = shutdown.set_deadline(deadline);
    let mut idle = pin!(idle(runner));
    tokio::select! {
        biased;
        // Replaced, because the wait below polls it again.
        () = &mut idle => idle.set(self::idle(runner)),
        () = tokio::time::sleep_until(deadline) => {}
        () = shutdown.hurry.cancelled() => {}
    }
    // First, tasks that wait give up; then, tasks that run are asked to stop.
    shutdown.deadline.send_replace(Some(Instant::now()));
    shutdown.cancel.cancel();
    let _ = tokio::time::timeout(GRACE, idle).await;

    // The books before the futures: the guards in what is aborted below find their tasks settled already,
    // and do not report them as left without a runtime. The books before the limits, too: a response that
    // is released below finds its tasks settled, so that none of them starts.
    close_books(runner);
    runner.limits.close();
    runner.aborts.abort_all();
    // The async hooks that report the aborted tasks hold the books.
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

/// The result of a shutdown: the final counts, and the tasks that did not finish.
///
/// Displays as one line of totals, and one line for each task that did not finish.
#[derive(Debug, Clone)]
pub struct ShutdownReport {
    stats: Stats,
    unfinished: Vec<UnfinishedTask>,
    elapsed: Duration,
}

impl ShutdownReport {
    /// The final counts. Nothing is pending or running any more.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The tasks that the shutdown aborted, oldest first.
    #[must_use]
    pub fn unfinished(&self) -> &[UnfinishedTask] {
        &self.unfinished
    }

    /// Returns `true` if every task finished in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// The time for which the shutdown waited for tasks.
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
