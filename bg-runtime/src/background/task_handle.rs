use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::run::{Runner, Spawned};
use crate::task::{BoxTask, ProgressStream, TaskFailure, TaskId, TaskInfo};

/// A handle to a spawned task. Awaiting it returns the outcome; dropping it leaves the task running.
///
/// Cancel safe: if `&mut handle` is awaited in a `select!` and another branch completes first, nothing is
/// lost.
pub struct TaskHandle {
    runner: Arc<Runner>,
    info: TaskInfo,
    id: TaskId,
    spawned: Spawned,
}

impl TaskHandle {
    pub(super) fn spawn(runner: &Arc<Runner>, task: BoxTask) -> Self {
        let (info, id) = (task.info(), task.id());
        Self {
            runner: runner.clone(),
            info,
            id,
            spawned: runner.spawn_task(task),
        }
    }

    /// The task's id, which logs and reports show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns a stream of the task's progress, beginning with the latest that it reported, if any. It ends
    /// when the task has its outcome.
    ///
    /// ```
    /// use bg_runtime::{Background, TaskContext, background_task};
    ///
    /// #[background_task]
    /// async fn import(#[context] cx: TaskContext) {
    ///     cx.progress(1, 2, "reading");
    ///     cx.progress(2, 2, "writing");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let handle = Background::global().spawn(Import);
    /// let mut progress = handle.progress();
    /// while let Some(latest) = progress.next().await {
    ///     println!("{latest}"); // 2 of 2: writing
    /// }
    /// handle.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&self) -> ProgressStream {
        let key = self.spawned.entry;
        ProgressStream::new(key.and_then(|key| self.runner.watch_progress(key)))
    }

    /// Aborts the task, unless it has ended: its outcome is `aborted` at once, and its future is dropped at
    /// its next await point.
    ///
    /// A synchronous task that is running already cannot be stopped; its
    /// [`TaskContext`](crate::TaskContext) is cancelled.
    pub fn abort(&self) {
        if let Some(key) = self.spawned.entry {
            self.runner.abort_task(key);
        }
        if let Some(abort) = &self.spawned.abort {
            abort.abort();
        }
    }
}

impl Future for TaskHandle {
    type Output = Result<(), TaskFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.spawned.outcome).poll(cx));
        Poll::Ready(outcome.unwrap_or_else(|_| Err(TaskFailure::lost(self.info, self.id))))
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("task", &self.info.name())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
