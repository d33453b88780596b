//! What keeps stored tasks. Each engine is an adapter to a queue that others have built and proven.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio_util::sync::CancellationToken;

use super::error::{StartError, StoreError};
use super::query::{Found, Obeyed, Order, Query, Row};
use super::status::{StoredState, TaskStatus};
use super::{Desk, Kept, Stored};
use crate::task::{Progress, TaskId};

#[cfg(feature = "engine")]
mod beat;
#[cfg(feature = "redis")]
mod bullmq;
#[cfg(feature = "engine")]
mod ears;
#[cfg(feature = "engine")]
mod held;
mod memory;
mod place;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod river;
#[cfg(feature = "engine")]
mod room;
#[cfg(all(test, feature = "engine", not(shuttle)))]
mod tests;
#[cfg(feature = "engine")]
mod told;
mod transaction;

#[cfg(feature = "redis")]
pub(crate) use self::bullmq::RedisAddress;
pub use self::memory::Memory;
pub(crate) use self::place::Place;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use self::river::Address;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use self::transaction::InTransaction;
pub(crate) use self::transaction::StoreTransaction;

/// An engine. Of each call, the settings of the [`Store`](super::Store) say how long it may take; an engine only
/// returns errors.
pub(crate) trait Engine: Send + Sync + 'static {
    /// What errors and the log call it: `SQLite (tasks.db)`. Without passwords.
    fn describe(&self) -> String;

    /// Connects, migrates if that is asked for, and checks that the tables are there. May be called again.
    fn start(&self) -> BoxFuture<'_, Result<(), StartError>>;

    /// Stores all of them, or none. Who stores wakes the workers of its own process.
    fn store(&self, batch: Arc<[Stored]>) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>>;

    /// Stores all of them, or none, when the caller's transaction is committed. An engine without transactions refuses.
    fn store_in<'a>(
        &'a self,
        transaction: StoreTransaction<'a>,
        batch: Arc<[Stored]>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>>;

    /// Claims tasks and gives them to the desk, until `stop` is cancelled; from then on claims none, waits for the
    /// verdicts on those that run, records them, and returns. Reconnects by itself: an error is for what no wait mends.
    fn work(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns at most `limit` tasks behind `after`, newest first.
    fn list(
        &self,
        query: Query,
        after: Option<Row>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Found, StoreError>>;

    fn counts(&self, query: Query) -> BoxFuture<'_, Result<Vec<(StoredState, u64)>, StoreError>>;

    fn order(&self, task: TaskId, order: Order) -> BoxFuture<'_, Result<Obeyed, StoreError>>;

    /// Obeys for every task of the query for which it can, and returns how many.
    fn order_all(&self, query: Query, order: Order) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Keeps the latest progress of a task that this process runs.
    fn set_progress(
        &self,
        task: TaskId,
        progress: Progress,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Tells of the tasks that others wait for. May miss some: whoever waits looks at the task itself now and then.
    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, StoreEvent>, StoreError>>;

    /// Has these tasks, which are scheduled or wait, be due at this time.
    fn postpone(
        &self,
        tasks: Vec<TaskId>,
        due: SystemTime,
    ) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Has these tasks, which are scheduled, be due now, and wakes workers.
    fn release(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns at most `limit` tasks that are dead, and of whose death nobody was told yet, oldest first. Until
    /// `again_after` is over, no other call returns them, so that each is told of once, most often.
    fn claim_dead(
        &self,
        limit: u32,
        again_after: Duration,
    ) -> BoxFuture<'_, Result<Vec<TaskStatus>, StoreError>>;

    /// Notes that somebody was told of their death. If one runs again and dies again, that is another.
    fn note_told(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns how many tasks each queue has in each state but the final ones, and how many are dead.
    fn tallies(&self) -> BoxFuture<'_, Result<Vec<Tally>, StoreError>>;

    /// Returns the names of tasks that are not final and that are none of these, with how many there are; at most 20.
    fn unknown_names(
        &self,
        known: &'static [&'static str],
    ) -> BoxFuture<'_, Result<Vec<(String, u64)>, StoreError>>;

    /// Returns the tasks that run and whose worker was not heard of for so long; at most 20 kinds.
    fn left(&self, silent_for: Duration) -> BoxFuture<'_, Result<Vec<Left>, StoreError>>;

    /// Stops or resumes the claims from a queue, of all workers.
    fn set_paused(&self, queue: String, paused: bool) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns since when the oldest task that is due has waited, for each queue that has one.
    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(String, Duration)>, StoreError>>;
}

/// See [`Engine::tallies`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) queue: String,
    pub(crate) state: StoredState,
    pub(crate) tasks: u64,
}

/// What a worker runs that does not let itself be heard: how many tasks of one name. See [`Engine::left`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Left {
    pub(crate) worker: String,
    pub(crate) name: String,
    pub(crate) tasks: u64,
}

/// Something that happened to a stored task, in this or in another process.
#[derive(Debug, Clone)]
pub(crate) enum StoreEvent {
    Ended(TaskId),
    Progress(TaskId, Progress),
    /// What was told before this may be incomplete: the connection was lost.
    Gap,
}
