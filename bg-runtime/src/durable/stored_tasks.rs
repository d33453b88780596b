//! Looking at stored tasks, and giving orders to them, from any process that has the store.

use std::fmt;
use std::sync::Arc;

use super::query::{Obeyed, Order, Query, Row};
use super::stored_task::StoredTask;
use super::{LookError, OpenStore, StoredState, TaskStatus};
use crate::task::TaskId;

/// The stored tasks, or those of a query. From [`Background::stored`](crate::Background::stored).
///
/// ```no_run
/// # async fn example(background: bg_runtime::Background) -> Result<(), Box<dyn std::error::Error>> {
/// use bg_runtime::durable::StoredState;
///
/// let dead = background.stored().state(StoredState::Dead).name("emails.*");
/// for task in dead.list().await?.tasks {
///     println!("{} {:?}", task.id, task.errors.last());
/// }
/// println!("{} run again", dead.retry_all().await?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a query does nothing until it is asked something"]
pub struct StoredTasks {
    /// `None` if there is none, which every question says.
    store: Option<Arc<OpenStore>>,
    query: Query,
    after: Option<Row>,
    limit: u32,
}

/// How many tasks a page of a list has if nothing else is said.
const PAGE: u32 = 100;

impl StoredTasks {
    pub(crate) fn new(store: Option<Arc<OpenStore>>) -> Self {
        Self {
            store,
            query: Query::default(),
            after: None,
            limit: PAGE,
        }
    }

    /// Returns the task of this id, whether or not there is one.
    pub fn get(&self, id: TaskId) -> StoredTask {
        StoredTask::new(self.store.clone(), id)
    }

    /// Only those in this state.
    pub fn state(mut self, state: StoredState) -> Self {
        self.query.state = Some(state);
        self
    }

    /// Only those of this name: a whole one, or the begin of one and `*`, as in `"emails.*"`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.query.name = Some(name.into());
        self
    }

    /// Only those of this queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.query.queue = Some(queue.into());
        self
    }

    /// Only those of this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.query.key = Some(key.into());
        self
    }

    /// Sets how many tasks a page of [`list`](Self::list) has at most. 100 by default.
    pub fn limit(mut self, tasks: u32) -> Self {
        self.limit = tasks;
        self
    }

    /// Has the list begin behind the page that this cursor came with.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor.0);
        self
    }

    /// Returns a page of the tasks, newest first.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn list(&self) -> Result<Page, LookError> {
        let store = known(self.store.as_ref())?;
        let list = store
            .engine()
            .list(self.query.clone(), self.after, self.limit);
        let found = store.ask(list).await?;
        let mut tasks = found.tasks;
        tasks.iter_mut().for_each(TaskStatus::redact);
        Ok(Page {
            tasks,
            next: found.next.map(Cursor),
        })
    }

    /// Returns how many tasks are in each state that has any.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn counts(&self) -> Result<Vec<(StoredState, u64)>, LookError> {
        let store = known(self.store.as_ref())?;
        store.ask(store.engine().counts(self.query.clone())).await
    }

    /// Has all of them run again, now, that have ended or wait for their next run, and returns how many these are.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn retry_all(&self) -> Result<u64, LookError> {
        self.order_all(Order::Retry).await
    }

    /// Cancels all of them that have not ended, and returns how many these are: see [`StoredTask::cancel`].
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn cancel_all(&self) -> Result<u64, LookError> {
        self.order_all(Order::Cancel).await
    }

    /// Forgets all of them that do not run, and returns how many these are.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn delete_all(&self) -> Result<u64, LookError> {
        self.order_all(Order::Delete).await
    }

    async fn order_all(&self, order: Order) -> Result<u64, LookError> {
        let store = known(self.store.as_ref())?;
        let ordered = store.engine().order_all(self.query.clone(), order);
        store.ask(ordered).await
    }
}

impl fmt::Debug for StoredTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTasks")
            .field("query", &self.query)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

pub(super) fn known(store: Option<&Arc<OpenStore>>) -> Result<&OpenStore, LookError> {
    store.map(|store| &**store).ok_or(LookError::NoStore)
}

/// A part of a list of stored tasks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Page {
    /// The tasks, newest first.
    pub tasks: Vec<TaskStatus>,
    /// Where the next page begins. `None` if this is the last.
    pub next: Option<Cursor>,
}

/// Where a page of a list begins: see [`StoredTasks::after`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(Row);

/// What became of a [`cancel`](StoredTask::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cancelled {
    /// It waited, and will not run.
    Waiting,
    /// It runs, and its worker has been told. How it ends is its [`outcome`](StoredTask::outcome).
    Told,
    /// It has ended.
    TooLate,
    /// The store does not have it: it never had, or has forgotten it.
    Unknown,
}

impl From<Obeyed> for Cancelled {
    fn from(obeyed: Obeyed) -> Self {
        match obeyed {
            Obeyed::Done => Self::Waiting,
            Obeyed::Told => Self::Told,
            Obeyed::TooLate => Self::TooLate,
            Obeyed::Unknown => Self::Unknown,
        }
    }
}
