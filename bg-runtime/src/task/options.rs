#[cfg(feature = "durable")]
use std::borrow::Cow;
#[cfg(feature = "durable")]
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "durable")]
use std::time::SystemTime;

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
    /// What travels along with the task. Rare, so shared.
    #[cfg(feature = "durable")]
    pub(crate) baggage: Option<Arc<Baggage>>,
    /// A worker has taken the task from its store.
    #[cfg(feature = "durable")]
    pub(crate) is_claimed: bool,
    /// What surrounded the code that queued the task. Rare, so boxed.
    pub(crate) surroundings: Option<Box<Surroundings>>,
    /// When the first run is due, whatever `delay` says.
    #[cfg(feature = "durable")]
    pub(crate) due: Option<SystemTime>,
    /// No other task with the same arguments is unfinished while this one is.
    #[cfg(feature = "durable")]
    pub(crate) unique: bool,
    /// None is stored for this long either, even if this one ends before.
    #[cfg(feature = "durable")]
    pub(crate) unique_for: Option<Duration>,
    /// From 1, the most urgent, to 4.
    #[cfg(feature = "durable")]
    pub(crate) priority: Option<u8>,
    /// Replaces the declared queue.
    #[cfg(feature = "durable")]
    pub(crate) queue: Option<Cow<'static, str>>,
    /// A durable task that is not stored, and runs here.
    #[cfg(feature = "durable")]
    pub(crate) in_process: bool,
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
        #[cfg(feature = "durable")]
        baggage: None,
        #[cfg(feature = "durable")]
        is_claimed: false,
        surroundings: None,
        #[cfg(feature = "durable")]
        due: None,
        #[cfg(feature = "durable")]
        unique: false,
        #[cfg(feature = "durable")]
        unique_for: None,
        #[cfg(feature = "durable")]
        priority: None,
        #[cfg(feature = "durable")]
        queue: None,
        #[cfg(feature = "durable")]
        in_process: false,
    };

    /// Returns how long the first run waits from now on.
    pub(crate) fn wait(&self) -> Duration {
        #[cfg(feature = "durable")]
        if let Some(due) = self.due {
            return due.duration_since(crate::clock::now()).unwrap_or_default();
        }
        self.delay
    }
}

/// What travels along with a task: see [`baggage`](crate::BackgroundBuilder::baggage).
#[cfg(feature = "durable")]
pub(crate) type Baggage = std::collections::BTreeMap<String, String>;

#[cfg(feature = "durable")]
static NO_BAGGAGE: Baggage = Baggage::new();

#[cfg(feature = "durable")]
impl Options {
    pub(crate) fn baggage(&self) -> &Baggage {
        self.baggage.as_deref().unwrap_or(&NO_BAGGAGE)
    }

    /// Returns whether the task was told something that only a store does.
    pub(crate) fn are_for_a_store(&self) -> bool {
        self.unique || self.unique_for.is_some() || self.priority.is_some() || self.queue.is_some()
    }
}

/// Which ends of its request a task runs after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Depends on where the task was attached.
    Default,
    Always,
    OnErrorResponse,
}
