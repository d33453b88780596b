use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};

use super::engine::StoreEvent;
use super::query::{Obeyed, Order, Query};
use super::stored_tasks::known;
use super::{Cancelled, Ends, LookError, OpenStore, StoredProgress, StoredState, TaskStatus};
use crate::clock;
use crate::task::{FailureKind, SkipReason, TaskId};

/// How often who waits for a task looks at it, because an event may be missed.
const LOOK: Duration = Duration::from_secs(5);

/// How long who waits for a task waits before it asks a store again that has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// A stored task, from any process that has its store. From
/// [`StoredTasks::get`](super::StoredTasks::get).
///
/// An id is no secret, so check that this client may know about the task.
#[derive(Clone)]
#[must_use = "does nothing until it is asked something"]
pub struct StoredTask {
    store: Option<Arc<OpenStore>>,
    id: TaskId,
}

impl StoredTask {
    pub(super) fn new(store: Option<Arc<OpenStore>>, id: TaskId) -> Self {
        Self { store, id }
    }

    /// The task's id.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the task as it is now. `None` if the store does not have it: it never had, or has forgotten it
    /// ([`keep_completed`](super::Store::keep_completed), [`keep_dead`](super::Store::keep_dead)).
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn status(&self) -> Result<Option<TaskStatus>, LookError> {
        let query = Query {
            id: Some(self.id),
            ..Query::default()
        };
        let store = known(self.store.as_ref())?;
        let found = store.ask(store.engine().list(query, None, 1)).await?;
        let mut found = found.tasks.into_iter().next();
        if let Some(status) = &mut found {
            status.redact();
        }
        Ok(found)
    }

    /// Waits until the task has ended, in whichever process, and returns how. Waits on while the store cannot be
    /// reached.
    ///
    /// # Errors
    ///
    /// If the task did not succeed, or the store does not have it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the task goes on, and can be waited for again.
    pub async fn outcome(&self) -> Result<(), StoredFailure> {
        let Some(store) = &self.store else {
            return Err(StoredFailure::unknown(&LookError::NoStore));
        };
        // Before the first look, so that an end after that is not missed.
        let mut ends = Ends::of(store.clone()).await;
        loop {
            let expires_in = match self.status().await {
                Ok(None) => {
                    let forgotten = "the store does not have it: it never had, or has forgotten it";
                    return Err(StoredFailure::unknown(&forgotten));
                }
                Ok(Some(status)) => {
                    if let Some(outcome) = outcome(&status) {
                        return outcome;
                    }
                    let expires_in = expiry(&status);
                    if expires_in == Some(Duration::ZERO) {
                        // Nobody took it in time, and perhaps nobody is there to say so.
                        if self.order(Order::Cancel).await.is_err() {
                            tokio::time::sleep(AGAIN).await;
                        }
                        continue;
                    }
                    expires_in
                }
                Err(_) => {
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
            };
            let look = expires_in.map_or(LOOK, |expires| expires.min(LOOK));
            ends.wait(look, |id| id == self.id).await;
        }
    }

    /// Returns a stream of the task's progress, beginning with the latest that its store knows. It ends when the task
    /// has ended.
    ///
    /// Of a task that runs in another process only the latest word comes, at most ten in a second, and some may be
    /// lost. The same word does not come twice in a row.
    pub fn progress(&self) -> StoredProgress {
        let task = self.clone();
        let reports = async move {
            let events = task.events().await;
            let first = task.status().await.ok().flatten();
            let has_ended = first.as_ref().is_none_or(|status| status.state.is_final());
            let latest = first.and_then(|status| status.progress);
            let id = task.id;
            let ended = async move {
                if !has_ended {
                    drop(task.outcome().await);
                }
            };
            let later = events.filter_map(move |event| {
                std::future::ready(match event {
                    StoreEvent::Progress(of, progress) if of == id => Some(progress),
                    _ => None,
                })
            });
            stream::iter(latest).chain(later.take_until(ended.boxed()))
        };
        StoredProgress::new(reports.flatten_stream())
    }

    /// Cancels the task: one that waits will not run; the worker of one that runs is told, which cancels its
    /// [context](crate::TaskContext::cancelled) and, a second later, drops it at its next await point.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn cancel(&self) -> Result<Cancelled, LookError> {
        self.order(Order::Cancel).await.map(Cancelled::from)
    }

    /// Has the task run again, now, if it has ended or waits for its next run. Returns `false` if it does not.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn retry(&self) -> Result<bool, LookError> {
        Ok(self.order(Order::Retry).await? == Obeyed::Done)
    }

    async fn order(&self, order: Order) -> Result<Obeyed, LookError> {
        let store = known(self.store.as_ref())?;
        store.ask(store.engine().order(self.id, order)).await
    }

    async fn events(&self) -> BoxStream<'static, StoreEvent> {
        let Ok(store) = known(self.store.as_ref()) else {
            return stream::empty().boxed();
        };
        // Without events, whoever waits looks now and then.
        store.events().await
    }
}

/// How long after its time whoever waits for a task says that it has expired: a worker that takes it says so itself.
const OVERDUE: Duration = Duration::from_secs(1);

/// Returns how long a task may still wait for its first run. `None` if it has begun, or does not expire.
fn expiry(status: &TaskStatus) -> Option<Duration> {
    let waits = matches!(status.state, StoredState::Scheduled | StoredState::Waiting);
    let at = status.expires_at.filter(|_| waits && status.attempt == 0)?;
    let at = at.checked_add(OVERDUE)?;
    Some(at.duration_since(clock::now()).unwrap_or_default())
}

/// Returns how a task has ended, if it has.
fn outcome(status: &TaskStatus) -> Option<Result<(), StoredFailure>> {
    match status.state {
        StoredState::Completed => Some(Ok(())),
        StoredState::Dead | StoredState::Cancelled => Some(Err(StoredFailure::of(status))),
        StoredState::Scheduled
        | StoredState::Waiting
        | StoredState::Running
        | StoredState::Retrying => None,
    }
}

impl fmt::Debug for StoredTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTask")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// How a stored task ended that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredFailure {
    /// Of its last run; [`Aborted`](FailureKind::Aborted) if it was cancelled.
    pub kind: FailureKind,
    /// What its last error said.
    pub error: String,
    /// How many runs began.
    pub attempts: u32,
}

/// Returns whether a task that was cancelled before its first run had expired by then.
fn has_expired(status: &TaskStatus) -> bool {
    let expired = status.expires_at.zip(status.ended_at);
    status.attempt == 0 && expired.is_some_and(|(expires, ended)| expires <= ended)
}

impl StoredFailure {
    fn of(status: &TaskStatus) -> Self {
        let last = status.errors.last();
        let (kind, error) = match (status.state, last) {
            // Cancelled while it waited, after runs that failed or without any.
            (StoredState::Cancelled, Some(last))
                if matches!(last.kind, FailureKind::Aborted | FailureKind::Skipped) =>
            {
                (last.kind, last.error.clone())
            }
            (StoredState::Cancelled, None) if has_expired(status) => {
                (FailureKind::Skipped, SkipReason::Expired.to_string())
            }
            (StoredState::Cancelled, _) => (FailureKind::Aborted, "it was cancelled".to_owned()),
            (_, Some(last)) => (last.kind, last.error.clone()),
            (_, None) => (FailureKind::Error, "its store does not say why".to_owned()),
        };
        Self {
            kind,
            error,
            attempts: status.attempt,
        }
    }

    fn unknown(why: &dyn fmt::Display) -> Self {
        Self {
            kind: FailureKind::Lost,
            error: why.to_string(),
            attempts: 0,
        }
    }
}

impl fmt::Display for StoredFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.error)
    }
}

impl std::error::Error for StoredFailure {}
