#[cfg(feature = "metrics")]
use std::time::Duration;

#[cfg(feature = "metrics")]
use tokio::time::Instant;

/// The time at which a task was queued. Only metrics show it, so without the feature `metrics` the clock is
/// not read.
#[derive(Clone, Copy)]
pub(super) struct QueuedAt(#[cfg(feature = "metrics")] Instant);

impl QueuedAt {
    pub(super) fn now() -> Self {
        Self(
            #[cfg(feature = "metrics")]
            Instant::now(),
        )
    }

    #[cfg(feature = "metrics")]
    pub(super) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
