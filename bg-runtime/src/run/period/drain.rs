use std::mem::replace;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Closed, Draining, PeriodState, Stage};
use crate::run::{Runner, ShutdownReport};

/// A drain that is under way. Dropping it ends it: the period goes on if the books were not closed yet,
/// with the signals that were given.
pub(in crate::run) struct DrainGuard {
    runner: Arc<Runner>,
    before: Option<Stage>,
    /// Until when it closes the books.
    closed: Closed,
    has_closed: bool,
    hurry: CancellationToken,
    report: Option<ShutdownReport>,
}

/// What a shutdown finds.
pub(in crate::run) enum BeginShutdown {
    Drain(Box<DrainGuard>),
    /// Another drain is under way: to be asked again when the token is cancelled.
    Later(CancellationToken),
    Done(ShutdownReport),
}

impl DrainGuard {
    /// Begins the drain of a shutdown.
    pub(in crate::run) fn begin_shutdown(runner: &Arc<Runner>, deadline: Instant) -> BeginShutdown {
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

    pub(super) fn begin(
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

    pub(in crate::run) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    pub(in crate::run) fn hurry(&self) -> &CancellationToken {
        &self.hurry
    }

    /// Tells tasks that the shutdown has begun, and when it ends.
    pub(in crate::run) fn tell_tasks(&self) {
        let periods = &self.runner.periods;
        let stopping = periods.state.lock().signals.stopping.give();
        periods.tell_deadline();
        stopping.cancel();
    }

    /// Lets tasks that wait give up, and asks those that run to stop.
    pub(in crate::run) fn give_up(&self) {
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
    pub(in crate::run) fn close_books(&mut self) -> Closed {
        self.has_closed = true;
        self.closed
    }

    pub(in crate::run) fn finish(mut self, report: ShutdownReport) {
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
