use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::collect::QueuedTask;
use crate::run::{Runner, TaskFailure, Watched};
use crate::task::{TaskId, TaskInfo};

/// A spawned task. Awaiting it gives the outcome; dropping it leaves the task running.
pub struct TaskHandle {
    runner: Arc<Runner>,
    info: TaskInfo,
    id: TaskId,
    watched: Watched,
}

impl TaskHandle {
    pub(super) fn spawn(runner: &Arc<Runner>, task: QueuedTask) -> Self {
        let (info, id) = (task.info(), task.id());
        Self {
            runner: runner.clone(),
            info,
            id,
            watched: runner.spawn_watched(task),
        }
    }

    /// The task's id, which logs and reports show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Stops the task, unless it has ended: its outcome is `aborted`, and its future is dropped at
    /// its next await point.
    ///
    /// A synchronous task that runs already cannot be stopped; its
    /// [`TaskContext`](crate::TaskContext) is told.
    pub fn abort(&self) {
        self.runner.abort_task(self.watched.place);
        if let Some(abort) = &self.watched.abort {
            abort.abort();
        }
    }
}

impl Future for TaskHandle {
    type Output = Result<(), TaskFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.watched.outcome).poll(cx));
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
