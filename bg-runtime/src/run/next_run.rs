//! Whether a run that failed is followed by another, and when.

use std::time::Duration;

use super::outcome::RunError;
use crate::task::{MissingState, RetryAdvice, TaskInfo};

/// Returns how long a task waits for the run after run `number`, which failed. `None` if its error says that
/// there is no other.
pub(super) fn wait_for_next_run(
    task: &TaskInfo,
    number: u32,
    failed: &RunError,
) -> Option<Duration> {
    let error = &**failed.error;
    let advice = RetryAdvice::of(error);
    // What a `Background` lacks, the next run will lack as well.
    if advice.stops || error.is::<MissingState>() {
        return None;
    }
    let wait = advice.wait;
    Some(wait.unwrap_or_else(|| task.backoff().wait(number, fastrand::u64(..))))
}
