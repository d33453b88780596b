use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::signals::{Signal, end_serving, stop_signals};
use crate::durable::StartError;
use crate::run::{Runner, ShutdownReport, end_of_wait};

/// A worker that takes durable tasks from the store. Created by [`Background::work`](crate::Background::work), and run
/// by `.await`.
///
/// Dropping the future lets tasks go on, as after a [`shutdown`](crate::Background::shutdown) that is dropped.
///
/// # Errors
///
/// Ends with an error before it takes a task, if there is no store, if the store is
/// [`enqueue_only`](crate::durable::Store::enqueue_only) or is not ready, if the handlers of the signals cannot be
/// installed, or if the `Background` was shut down.
#[must_use = "a worker does nothing until it is awaited"]
pub struct Work {
    runner: Arc<Runner>,
    signal: Option<Signal>,
}

impl Work {
    pub(crate) fn new(runner: Arc<Runner>) -> Self {
        Self {
            runner,
            signal: None,
        }
    }

    /// Shuts down when `signal` completes, instead of at Ctrl-C and SIGTERM. There is then no second signal that would
    /// end the wait before the [`drain_timeout`](crate::BackgroundBuilder::drain_timeout).
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }

    async fn run(self) -> Result<ShutdownReport, StartError> {
        let Self { runner, signal } = self;
        let store = runner.store().ok_or(StartError::NoStore)?;
        if !store.settings().works {
            return Err(StartError::EnqueueOnly);
        }
        let signals = stop_signals(signal);
        let (first, second) = signals.map_err(|error| StartError::Signals(Arc::new(error)))?;
        let serving = runner
            .begin_serving()
            .await
            .map_err(|_| StartError::ShutDown)?;
        runner.begin_working().await?;
        tokio::select! {
            () = first => {}
            // `shutdown()` was called.
            () = serving.stopping().cancelled() => {}
        }
        let deadline = end_of_wait(Instant::now(), runner.drain_timeout());
        serving.stop(deadline);
        Ok(end_serving(&runner, serving, deadline, second).await)
    }
}

impl IntoFuture for Work {
    type Output = Result<ShutdownReport, StartError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}
