use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Closed, DrainGuard, Stage};
use crate::run::Runner;

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
pub(in crate::run) enum Leave {
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
    pub(in crate::run) async fn begin(runner: &Arc<Runner>) -> Result<Self, AlreadyShutDown> {
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

    /// Returns the token that ends the wait of its [end](Runner::end_serving) early.
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

    /// Leaves, unless a drain is under way.
    pub(in crate::run) fn leave(&mut self, deadline: Instant) -> Leave {
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
