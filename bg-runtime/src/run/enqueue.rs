//! Storing a durable task from another task. Here, because the context of a task knows no store.

use crate::durable::EnqueueError;
use crate::task::{IntoTask, TaskContext, TaskId};

impl TaskContext {
    /// Stores a durable task, and returns its id when that is done: the task that follows this one, or one of several.
    /// As [`Background::enqueue`](crate::Background::enqueue), on the `Background` that runs this task.
    ///
    /// A durable task may run more than once, and each run stores what follows: make that `unique`, or have it bear
    /// being run twice as well.
    ///
    /// ```
    /// use bg_runtime::durable::EnqueueError;
    /// use bg_runtime::{TaskContext, background_task};
    ///
    /// #[background_task(durable, name = "orders.pack")]
    /// async fn pack_order(order: i64, #[context] cx: TaskContext) -> Result<(), EnqueueError> {
    ///     // ..
    ///     cx.enqueue(ShipOrder::new(order)).await?;
    ///     Ok(())
    /// }
    ///
    /// #[background_task(durable, name = "orders.ship")]
    /// async fn ship_order(order: i64) {
    ///     // ..
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If the task is not stored, or may not have been: see [`EnqueueError`]. Nothing else reports the error: return it, and
    /// it fails this task.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the task may have been stored or not.
    pub async fn enqueue(&self, task: impl IntoTask) -> Result<TaskId, EnqueueError> {
        let tasks = vec![task.into_task()];
        self.runner.enqueue(None, tasks).await?.remove(0)
    }
}
