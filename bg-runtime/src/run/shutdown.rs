use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Run;
use super::{Runner, Stats};
use crate::task::{RequestInfo, TaskId, TaskInfo};

/// How long tasks have after [`TaskContext::cancelled`](crate::TaskContext::cancelled) has
/// completed, and how long async error hooks have after that.
const GRACE: Duration = Duration::from_secs(1);

impl Runner {
    /// Waits for all tasks until `deadline`, asks those left to stop, and aborts what does not.
    /// Every call gets the report of the first.
    pub(crate) async fn shut_down(self: &Arc<Self>, deadline: Instant) -> ShutdownReport {
        let report = self.shutdown.get_or_init(|| self.drain(deadline));
        report.await.clone()
    }

    /// Tells tasks that wait when the shutdown ends: those that wait for longer give up.
    pub(crate) fn announce_end(&self, deadline: Instant) -> Announced<'_> {
        let announced = Announced(self);
        announced.deadline(deadline);
        announced
    }

    /// Ends the wait of a shutdown now.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Completes when no task is without an outcome. What a test has recorded runs for that.
    async fn idle(self: &Arc<Self>) {
        if self.recording.is_some() {
            self.run_recorded().await;
        }
        self.ledger.idle().await;
    }

    /// May be dropped and begun again: what it has done so far stands in the books.
    async fn drain(self: &Arc<Self>, deadline: Instant) -> ShutdownReport {
        let begun = Instant::now();
        let announced = self.announce_end(deadline);
        let mut idle = pin!(self.idle());
        tokio::select! {
            biased;
            () = &mut idle => idle.set(self.idle()),
            () = tokio::time::sleep_until(deadline) => {}
            () = self.hurry.cancelled() => {}
        }
        announced.deadline(Instant::now());
        self.cancel.cancel();
        let _ = tokio::time::timeout(GRACE, idle).await;

        self.close_books();
        self.limits.close();
        self.spawned.abort_all();
        // The hooks that tell of the aborted tasks.
        if tokio::time::timeout(GRACE, self.ledger.idle())
            .await
            .is_err()
        {
            tracing::error!(
                "async error hooks or detached handlers did not finish, and are left behind"
            );
        }
        ShutdownReport {
            stats: self.stats(),
            unfinished: self.ledger.unfinished(),
            elapsed: begun.elapsed(),
        }
    }
}

/// The end of a shutdown, which tasks that wait are told of as long as this lives: not beyond the
/// shutdown itself, whose future may be dropped.
pub(crate) struct Announced<'a>(&'a Runner);

impl Announced<'_> {
    fn deadline(&self, deadline: Instant) {
        self.0.shutdown_deadline.send_replace(Some(deadline));
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        self.0.shutdown_deadline.send_replace(None);
    }
}

/// The end of a wait that begins now. A wait too long to be told ends in thirty years.
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

/// A task that a shutdown aborted.
#[derive(Debug, Clone)]
pub struct UnfinishedTask {
    task: TaskInfo,
    id: TaskId,
    request: Option<Arc<RequestInfo>>,
    run: Run,
    running_for: Option<Duration>,
}

impl UnfinishedTask {
    pub(super) fn new(
        task: TaskInfo,
        id: TaskId,
        request: Option<Arc<RequestInfo>>,
        run: Run,
    ) -> Self {
        Self {
            task,
            id,
            request,
            run,
            running_for: run.elapsed(),
        }
    }

    /// The task's name, file and line.
    #[must_use]
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// The id of this very task.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The request that queued the task; `None` for tasks that were spawned.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        self.request.as_deref()
    }

    /// How long the task had been running; `None` where it waited, for its first run or another.
    #[must_use]
    pub fn running_for(&self) -> Option<Duration> {
        self.running_for
    }

    /// The number of the run that the task was in or waited for, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        match self.run {
            Run::After { attempt, .. } => attempt.saturating_add(1),
            Run::Running { attempt, .. } => attempt,
            Run::First => 1,
        }
    }
}

impl fmt::Display for UnfinishedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task)?;
        if let Some(request) = &self.request {
            write!(f, ", queued by {request}")?;
        }
        match (self.run, self.running_for) {
            (Run::After { of, .. }, _) => {
                write!(f, ", waiting for attempt {} of {of}", self.attempt())
            }
            (_, Some(time)) => write!(f, ", running for {time:.1?}"),
            (_, None) => write!(f, ", not started"),
        }
    }
}
