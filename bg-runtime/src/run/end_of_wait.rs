use std::time::Duration;

use tokio::time::Instant;

/// Returns the end of a wait that begins at `begun`. Longer waits end after thirty years, because a clock
/// may not be able to represent their end.
pub(crate) fn end_of_wait(begun: Instant, wait: Duration) -> Instant {
    const LONG: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
    begun + wait.min(LONG)
}
