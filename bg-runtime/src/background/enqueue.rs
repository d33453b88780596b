//! Storing durable tasks outside of a response.

use super::Background;
use crate::durable::EnqueueError;
use crate::task::{BoxTask, IntoTask, TaskId};

impl Background {
    /// Stores a durable task, and returns its id when that is done. It runs as soon as a worker takes it, which may be
    /// another process.
    ///
    /// In a handler, `background.enqueue(..).await?` answers as [`EnqueueError`] says if it fails. To have a task
    /// stored with the response, attach it like any other.
    ///
    /// # Errors
    ///
    /// If the task is not stored, or may not have been: see [`EnqueueError`]. Nothing else reports the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the task may have been stored or not.
    pub async fn enqueue(&self, task: impl IntoTask) -> Result<TaskId, EnqueueError> {
        let mut stored = self.enqueue_boxed(vec![task.into_task()]).await?;
        stored.remove(0)
    }

    /// Stores durable tasks in one write, all of them or none. Returns what became of each: its id, or why there are
    /// enough tasks like it, in which case the others are stored all the same.
    ///
    /// # Errors
    ///
    /// If none is stored, or it is not known whether they are. Nothing else reports the error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the tasks may have been stored or not.
    pub async fn enqueue_all<T: IntoTask>(
        &self,
        tasks: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        let tasks = tasks.into_iter().map(IntoTask::into_task);
        self.enqueue_boxed(tasks.collect()).await
    }

    async fn enqueue_boxed(
        &self,
        tasks: Vec<BoxTask>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        if let Some(task) = tasks.iter().find(|task| !task.is_durable()) {
            return Err(EnqueueError::NotDurable { task: task.info() });
        }
        self.runner.enqueue(tasks).await
    }
}
