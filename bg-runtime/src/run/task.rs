//! One task, from its turn to its outcome: the wait before it, its runs, and the waits between them.

use std::sync::Arc;

use tokio::time::Instant;

use super::ledger::Outcome;
use super::limits::Slot;
use super::ticket::Ticket;
use super::{Accepted, Runner, deadline};
use crate::contain::{Contained, contain};
use crate::task::{AbortReason, BoxError, FailureKind, QueuedTask, SkipReason, TaskInfo};

impl Accepted {
    /// Settles a task that will not run.
    pub(crate) fn skip(self, reason: SkipReason) {
        if let Some(recording) = self.ticket.runner().recording() {
            recording.note_skipped(&self.queued, &reason);
        }
        if reason.is_news() {
            self.show_arguments();
        }
        self.settle(Outcome::Skipped(reason));
    }

    /// Settles a task that was stopped before it ran.
    pub(super) fn abort(self, reason: AbortReason) {
        self.show_arguments();
        self.settle(Outcome::Aborted(reason));
    }

    /// Shows the arguments to whoever will be told of the task.
    fn show_arguments(&self) {
        let Self { queued, ticket, .. } = self;
        if ticket.runner().has_audience(&queued.info()) {
            ticket.show(queued.shown_arguments());
        }
    }

    /// Settles a task of which nothing is left: with its outcome its span ends, before a shutdown does
    /// that waits for it.
    fn settle(self, outcome: Outcome) {
        let Self { queued, ticket, .. } = self;
        drop(queued);
        ticket.settle(outcome);
    }
}

/// Why a task was no success, as far as those behind it are concerned.
pub(super) enum Stop {
    Failed(Failed),
    /// A shutdown had no time for the task, and has none for those behind it.
    Shutdown,
}

/// A task that failed, whose outcome is settled once it is known what its failure keeps from
/// running.
pub(super) struct Failed {
    pub(super) info: TaskInfo,
    ticket: Ticket,
    kind: FailureKind,
    error: Contained<BoxError>,
}

impl Failed {
    pub(super) fn settle(self, skipped: Vec<TaskInfo>) {
        let Self {
            ticket,
            kind,
            error,
            ..
        } = self;
        ticket.settle(Outcome::Failed {
            kind,
            error,
            skipped,
        });
    }
}

impl Runner {
    /// Runs the task, again where it fails and may, and settles its outcome unless it failed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` has space for its arguments twice"
    )]
    pub(super) fn run_task<'a>(
        self: &'a Arc<Self>,
        mut accepted: Accepted,
        slot: &'a mut Slot,
    ) -> impl Future<Output = Result<(), Stop>> + Send + 'a {
        async move {
            accepted.show_arguments();
            let retries = accepted.queued.retries();
            let timeout = accepted.queued.timeout();

            let delay = accepted.queued.options().delay;
            if !delay.is_zero() {
                let until = deadline(Instant::now(), delay);
                if self.wait(until, slot).await.is_err() {
                    accepted.settle(Outcome::Aborted(AbortReason::Shutdown));
                    return Err(Stop::Shutdown);
                }
            }
            let mut attempt = 1;
            loop {
                let info = accepted.queued.info();
                let passes = self.limits.passes(&info, &accepted.admission, slot).await;
                let may_run_again = attempt <= retries && copy(&mut accepted.queued);
                let Some(started) = accepted.ticket.start(attempt) else {
                    // A shutdown or the handle was faster.
                    return Ok(());
                };
                self.limits.start(&accepted.admission);
                let ended = self.attempt(&mut accepted, started, timeout).await;
                drop(passes);
                let (kind, error) = match ended {
                    Ok(()) => {
                        accepted.settle(Outcome::Completed);
                        return Ok(());
                    }
                    Err(ending) => ending,
                };
                if !may_run_again {
                    return Err(Stop::Failed(Failed {
                        info,
                        ticket: accepted.ticket,
                        kind,
                        error,
                    }));
                }
                // Before the failure is told: from now on the task waits.
                self.limits.wait_again(&accepted.admission);
                let wait = info.backoff().wait(attempt, fastrand::u64(..));
                let due = deadline(Instant::now(), wait);
                if !accepted.ticket.wait_again(attempt, retries, kind, error) {
                    return Ok(());
                }
                if self.wait(due, slot).await.is_err() {
                    accepted.settle(Outcome::Aborted(AbortReason::Shutdown));
                    return Err(Stop::Shutdown);
                }
                attempt = attempt.saturating_add(1);
            }
        }
    }

    /// Waits outside of the slot, unless a shutdown ends before the wait does.
    ///
    /// Boxed, because few tasks wait, and all would have to carry the space for it.
    async fn wait(&self, due: Instant, slot: &mut Slot) -> Result<(), ShutdownIsSooner> {
        slot.leave();
        Box::pin(async move {
            let mut shutdown = self.shutdown_deadline.subscribe();
            let is_sooner = |deadline: &Option<Instant>| deadline.is_some_and(|end| end < due);
            tokio::select! {
                biased;
                Ok(_) = shutdown.wait_for(is_sooner) => Err(ShutdownIsSooner),
                () = self.wait_until(due) => Ok(()),
            }
        })
        .await
    }
}

struct ShutdownIsSooner;

/// Makes a copy for another run, before this one consumes the task. The user's `clone` may panic; then
/// there is no other run.
fn copy(queued: &mut QueuedTask) -> bool {
    let task = queued.info();
    let reason = match contain(|| queued.copy()) {
        Ok(true) => return true,
        Ok(false) if task.def().is_none() => "a one-off task runs once".to_owned(),
        Ok(false) => "it gives no copy of itself: `Task::again` gives `None`, and `.retries(..)`, \
                      which copies a task that is `Clone`, was not the first call on it"
            .to_owned(),
        Err(panic) => format!("to copy it panicked: {panic}"),
    };
    tracing::warn!(
        parent: queued.span(),
        task.name = task.name(),
        task.file = task.file(),
        task.line = task.line(),
        "a background task with retries will not run again: {reason}"
    );
    false
}
