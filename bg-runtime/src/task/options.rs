use std::time::Duration;

use tokio::time::Instant;

use super::surroundings::Surroundings;
use super::tracked::Tracker;

/// The settings of one queued task, from [`TaskExt`](crate::TaskExt).
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) when: When,
    pub(crate) delay: Duration,
    /// Replaces the declared timeout.
    pub(crate) timeout: Option<Duration>,
    /// Replaces the declared number.
    pub(crate) retries: Option<u32>,
    /// The task is a list of its own, wherever it was added.
    pub(crate) independent: bool,
    /// Replaces the declared time from being queued to the first run.
    pub(crate) expires: Option<Duration>,
    /// The time by which the first run has to begin. Known when the task is queued.
    pub(crate) expires_at: Option<Instant>,
    /// A handle waits for the outcome. Taken when the task is queued.
    pub(crate) tracker: Option<Tracker>,
    /// What surrounded the code that queued the task. Rare, so boxed.
    pub(crate) surroundings: Option<Box<Surroundings>>,
}

impl Options {
    pub(super) const NONE: Self = Self {
        when: When::Default,
        delay: Duration::ZERO,
        timeout: None,
        retries: None,
        independent: false,
        expires: None,
        expires_at: None,
        tracker: None,
        surroundings: None,
    };
}

/// Which ends of its request a task runs after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Depends on where the task was attached.
    Default,
    Always,
    OnErrorResponse,
}
