//! What is done with an outcome: the closing event, and word of what is not a success.

use std::cell::LazyCell;
use std::sync::Arc;

use tracing::Span;

use super::Runner;
use super::ledger::{Entry, FailedRun, Outcome};
use super::log::log;
use super::metrics;
use crate::contain::{Contained, contain};
use crate::one_line::OneLine;
use crate::task::{BoxError, FailureKind, TaskFailure, TaskInfo};

impl Runner {
    /// Reports the outcome of a task that has left the books.
    pub(super) fn report(self: &Arc<Self>, entry: Entry, outcome: Outcome) {
        // The task takes up nothing any more, even if the future that was to run it is still there.
        entry.admission.give_back();
        let Entry {
            id,
            task,
            request,
            span,
            arguments,
            run,
            watcher,
            by_hook,
            ..
        } = entry;
        // The clock is read once, and only where somebody wants to know.
        let ran = LazyCell::new(|| run.elapsed());
        let elapsed = || ran.unwrap_or_default();
        metrics::run_ended(task.name(), || *ran);
        metrics::task_ended(task.name(), outcome.name());
        tracing::debug!(
            parent: &span,
            task.name = task.name(),
            outcome = outcome.name(),
            attempts = run.attempts(),
            duration_ms = elapsed().as_secs_f64() * 1e3,
            "background task finished"
        );

        let ended = outcome.failure().map(|(kind, error, skipped, is_news)| {
            let failure = TaskFailure::new(task, id, kind, error)
                .with_arguments(arguments)
                .with_attempt(run.attempts(), false)
                .with_elapsed(elapsed())
                .with_request(request)
                .with_skipped(skipped);
            if is_news {
                self.announce(&failure, &span, by_hook);
                if let Some(recording) = self.recording() {
                    recording.note_failure(&failure);
                }
            }
            failure
        });
        if let Some(watcher) = watcher {
            let _ = watcher.send(ended.map_or(Ok(()), Err));
        }
    }

    /// Reports a run that failed, of a task that will run again.
    pub(super) fn report_failed_run(
        self: &Arc<Self>,
        run: FailedRun,
        attempt: u32,
        kind: FailureKind,
        error: Contained<BoxError>,
    ) {
        metrics::run_ended(run.task.name(), || Some(run.elapsed));
        let failure = TaskFailure::new(run.task, run.id, kind, error)
            .with_arguments(run.arguments)
            .with_attempt(attempt, true)
            .with_elapsed(run.elapsed)
            .with_request(run.request);
        self.announce(&failure, &run.span, run.by_hook);
    }

    /// Tells hooks or the log. What a hook queues is not told to hooks, or it would go round in
    /// circles.
    fn announce(self: &Arc<Self>, failure: &TaskFailure, span: &Span, by_hook: bool) {
        let announced = contain(|| {
            if by_hook {
                log(failure, span);
            } else {
                self.tell(failure, span);
            }
        });
        if let Err(panic) = announced {
            let task = failure.task().name();
            tracing::error!(
                parent: span,
                task.name = task,
                panic = %OneLine(panic),
                "a report panicked"
            );
        }
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed { .. } => "failed",
            Self::Skipped(_) => "skipped",
            Self::Refused(_) => "rejected",
            Self::Aborted(_) => "aborted",
        }
    }

    /// The parts of the failure, unless it is none, and whether anybody is told of it.
    fn failure(self) -> Option<(FailureKind, Contained<BoxError>, Vec<TaskInfo>, bool)> {
        Some(match self {
            Self::Completed => return None,
            Self::Failed {
                kind,
                error,
                skipped,
            } => (kind, error, skipped, true),
            Self::Skipped(reason) => (
                FailureKind::Skipped,
                Contained::new(reason.into()),
                Vec::new(),
                reason.is_news(),
            ),
            Self::Refused(refusal) => (
                FailureKind::Rejected,
                Contained::new(refusal.into()),
                Vec::new(),
                true,
            ),
            Self::Aborted(reason) => (
                FailureKind::Aborted,
                Contained::new(reason.into()),
                Vec::new(),
                reason.is_news(),
            ),
        })
    }
}
