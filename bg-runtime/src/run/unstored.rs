//! A durable task from the moment at which it is attached until it is stored, or is known not to be.

use std::sync::Arc;
use std::time::SystemTime;

use super::limits::Refusal;
use super::outcome::Outcome;
use super::settle::end_unaccepted;
use super::{NotAccepted, Runner};
use crate::durable::{EnqueueError, Kept, OpenStore, StoreTransaction, Stored};
use crate::task::{AbortReason, BoxTask, RequestInfo, SkipReason, TaskId, TaskInfo, Tracker, When};

/// A durable task that is not stored yet. Dropping it settles it as aborted.
pub(crate) struct UnstoredTask {
    runner: Arc<Runner>,
    /// `None` only once its outcome is known.
    task: Option<BoxTask>,
    request: Option<Arc<RequestInfo>>,
    tracker: Option<Tracker>,
    hold_until: Option<SystemTime>,
    due: Option<SystemTime>,
}

const OPEN: &str = "only methods that consume it take the task out";

impl UnstoredTask {
    pub(super) fn new(
        runner: Arc<Runner>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
    ) -> Self {
        Self {
            runner,
            tracker: task.take_tracker(),
            task: Some(task),
            request,
            hold_until: None,
            due: None,
        }
    }

    fn task(&self) -> &BoxTask {
        self.task.as_ref().expect(OPEN)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.task().info().name()
    }

    pub(crate) fn when(&self) -> When {
        self.task().options().when
    }

    /// Returns what is to be stored, and notes when it is due by itself if it is to be held.
    fn put(&mut self, store: &OpenStore) -> Result<Stored, EnqueueError> {
        let mut stored = store.put(self.task(), self.request.as_deref())?;
        if let Some(until) = self.hold_until {
            self.due = stored.due;
            stored.due = stored.due.max(Some(until));
        }
        Ok(stored)
    }

    /// Has the task be due only then, or when it is released.
    pub(crate) fn hold_until(&mut self, until: SystemTime) {
        self.hold_until = Some(until);
    }

    pub(crate) fn is_held(&self) -> bool {
        self.hold_until.is_some()
    }

    /// When the task is due by itself.
    pub(crate) fn due(&self) -> Option<SystemTime> {
        self.due
    }

    /// Settles a task that the store has taken.
    pub(crate) fn stored(mut self) -> TaskId {
        let id = self.task().id();
        self.runner.ledger.count_stored();
        // For its handle, which hears of nothing that happens in the store.
        if let Some(tracker) = self.tracker.take() {
            tracker.tracked().end(Ok(()));
        }
        self.task = None;
        id
    }

    /// Settles a task of which there are enough.
    pub(crate) fn refuse(self) {
        let outcome = match TooMany::of(self.task()) {
            Some(TooMany { key, limit }) => Outcome::Refused(Refusal::Unfinished {
                key: key.into(),
                limit,
            }),
            None => Outcome::Skipped(SkipReason::Duplicate),
        };
        self.end(outcome);
    }

    /// Lets go of a task of which there are enough, for the caller to report.
    pub(crate) fn into_refusal(self, existing: Option<TaskId>) -> EnqueueError {
        let task = self.task();
        let too_many = TooMany::of(task).map(|too_many| too_many.error(task.info()));
        let error = too_many.unwrap_or(EnqueueError::Duplicate {
            task: task.info(),
            existing,
        });
        self.give_up();
        error
    }

    /// Settles a task that was not stored.
    pub(crate) fn fail(self, error: EnqueueError) {
        self.end(Outcome::NotStored(error.into()));
    }

    pub(crate) fn skip(self, reason: SkipReason) {
        self.end(Outcome::Skipped(reason));
    }

    /// Lets go of a task whose error is returned to the caller, who is to report it.
    pub(crate) fn give_up(mut self) {
        self.task = None;
    }

    fn end(mut self, outcome: Outcome) {
        self.end_with(outcome);
    }

    fn end_with(&mut self, outcome: Outcome) {
        let Some(task) = self.task.take() else { return };
        if let Outcome::Skipped(reason) = &outcome {
            self.runner.dispatch.note_skipped(&task, reason);
        }
        let (request, tracker) = (self.request.take(), self.tracker.take());
        end_unaccepted(&self.runner, task, request, tracker, outcome);
    }
}

impl Drop for UnstoredTask {
    fn drop(&mut self) {
        self.end_with(Outcome::Aborted(AbortReason::Dropped));
    }
}

/// What became of the tasks of one write.
pub(crate) type KeptTasks = Vec<(UnstoredTask, Kept)>;

/// Stores tasks that belong to no request. Nothing is reported: the caller does that.
pub(super) async fn enqueue(
    runner: &Arc<Runner>,
    transaction: Option<StoreTransaction<'_>>,
    tasks: Vec<BoxTask>,
) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
    if let Some(task) = tasks.iter().find(|task| !task.is_durable()) {
        return Err(EnqueueError::NotDurable { task: task.info() });
    }
    if !runner.dispatch.stores() {
        return Ok(tasks.into_iter().map(|task| record(runner, task)).collect());
    }
    let tasks = tasks
        .into_iter()
        .map(|task| runner.take_unstored(task, None));
    match store_all(runner, transaction, tasks.collect()).await {
        Ok(kept) => {
            let ids = kept.into_iter().map(|(task, kept)| match kept {
                Kept::Stored => Ok(task.stored()),
                Kept::Taken(existing) => Err(task.into_refusal(existing)),
            });
            Ok(ids.collect())
        }
        Err((error, tasks)) => {
            tasks.into_iter().for_each(UnstoredTask::give_up);
            Err(error)
        }
    }
}

/// Records a task of a test, which has no store.
fn record(runner: &Arc<Runner>, task: BoxTask) -> Result<TaskId, EnqueueError> {
    let (id, too_many) = (task.id(), TooMany::of(&task));
    match (runner.accept(task, None), too_many) {
        (Ok(accepted), _) => runner.dispatch.single(runner, accepted),
        (Err(NotAccepted::Refused(task)), Some(too_many)) => return Err(too_many.error(task)),
        (Err(_), _) => {}
    }
    Ok(id)
}

/// The key of which there may not be more tasks than so many unfinished.
struct TooMany {
    key: String,
    limit: usize,
}

impl TooMany {
    /// Returns `None` if there may be any number, or the task itself is unique.
    fn of(task: &BoxTask) -> Option<Self> {
        let limit = task.info().limits_ref().unfinished_per_key?;
        let key = task.key().filter(|_| !task.is_unique())?;
        Some(Self { key, limit })
    }

    fn error(self, task: TaskInfo) -> EnqueueError {
        EnqueueError::TooMany {
            task,
            key: self.key,
            limit: u32::try_from(self.limit).unwrap_or(u32::MAX),
        }
    }
}

/// Stores tasks, all or none, but for those of which there are enough. Returns them for the caller to settle.
pub(super) async fn store_all(
    runner: &Runner,
    transaction: Option<StoreTransaction<'_>>,
    mut tasks: Vec<UnstoredTask>,
) -> Result<KeptTasks, (EnqueueError, Vec<UnstoredTask>)> {
    let Some(store) = runner.store() else {
        let task = tasks.first().map(|task| task.task().info());
        return match task {
            Some(task) => Err((EnqueueError::NoStore { task }, tasks)),
            None => Ok(Vec::new()),
        };
    };
    let batch: Result<Vec<_>, _> = tasks.iter_mut().map(|task| task.put(store)).collect();
    let stored = match batch {
        Ok(batch) => {
            let stored = match transaction {
                None => store.store(batch).await,
                Some(transaction) => store.store_in(transaction, batch).await,
            };
            stored.map_err(EnqueueError::from)
        }
        Err(error) => Err(error),
    };
    match stored {
        Ok(kept) => Ok(tasks.into_iter().zip(kept).collect()),
        Err(error) => Err((error, tasks)),
    }
}
