//! Storing durable tasks outside of a response.

use super::Background;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::durable::InTransaction;
use crate::durable::{EnqueueError, StoreTransaction};
use crate::task::{BoxTask, IntoTask, TaskId};

impl Background {
    /// Stores a durable task, and returns its id when that is done. It runs as soon as a worker takes it, which may be
    /// another process.
    ///
    /// In a handler, `background.enqueue(..).await?` answers as [`EnqueueError`] says if it fails. To have a task
    /// stored with the response, attach it like any other. In a task,
    /// [`TaskContext::enqueue`](crate::TaskContext::enqueue) does the same.
    ///
    /// # Errors
    ///
    /// If the task is not stored, or may not have been: see [`EnqueueError`]. Nothing reports the error before it is made a
    /// response.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the task may have been stored or not.
    pub async fn enqueue(&self, task: impl IntoTask) -> Result<TaskId, EnqueueError> {
        let mut stored = self.enqueue_boxed(None, vec![task.into_task()]).await?;
        stored.remove(0)
    }

    /// Stores durable tasks in one write, all of them or none. Returns what became of each: its id, or why there are
    /// enough tasks like it, in which case the others are stored all the same.
    ///
    /// # Errors
    ///
    /// If none is stored, or it is not known whether they are. Nothing reports the error before it is made a response.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tasks may have been stored or not.
    pub async fn enqueue_all<T: IntoTask>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        let tasks = tasks.into_iter().map(IntoTask::into_task);
        self.enqueue_boxed(None, tasks.collect()).await
    }

    /// Stores a durable task in the caller's transaction, and returns its id: it is stored, and runs, when that is
    /// committed, together with whatever else the transaction writes; if it is rolled back, there is no task.
    ///
    /// The transaction is `&mut` of an [sqlx](crate::sqlx) `Transaction` on the database of the store, of PostgreSQL
    /// or SQLite. A store in Redis refuses it.
    ///
    /// ```no_run
    /// # #[cfg(feature = "postgres")] mod example {
    /// use bg_runtime::sqlx::PgPool;
    /// use bg_runtime::{Background, background_task};
    ///
    /// #[background_task(durable, name = "orders.ship")]
    /// async fn ship_order(order: i64) {
    ///     // ..
    /// }
    ///
    /// async fn place_order(
    ///     background: &Background,
    ///     pool: &PgPool,
    /// ) -> Result<(), Box<dyn std::error::Error>> {
    ///     let mut transaction = pool.begin().await?;
    ///     // .. insert the order ..
    ///     background.enqueue_in(&mut transaction, ShipOrder::new(7)).await?;
    ///     transaction.commit().await?;
    ///     Ok(())
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`enqueue`](Self::enqueue), and [`EnqueueError::NoTransactions`] if the transaction is not one of the store.
    /// After an error the transaction can still be used.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn enqueue_in<'a>(
        &self,
        transaction: impl InTransaction<'a>,
        task: impl IntoTask,
    ) -> Result<TaskId, EnqueueError> {
        let transaction = Some(StoreTransaction::of(transaction));
        let tasks = vec![task.into_task()];
        self.enqueue_boxed(transaction, tasks).await?.remove(0)
    }

    /// Stores durable tasks in the caller's transaction: see [`enqueue_in`](Self::enqueue_in) and
    /// [`enqueue_all`](Self::enqueue_all).
    ///
    /// # Errors
    ///
    /// As for these two.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn enqueue_all_in<'a, T: IntoTask>(
        &self,
        transaction: impl InTransaction<'a>,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        let transaction = Some(StoreTransaction::of(transaction));
        let tasks = tasks.into_iter().map(IntoTask::into_task).collect();
        self.enqueue_boxed(transaction, tasks).await
    }

    async fn enqueue_boxed(
        &self,
        transaction: Option<StoreTransaction<'_>>,
        tasks: Vec<BoxTask>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        self.runner.enqueue(transaction, tasks).await
    }
}
