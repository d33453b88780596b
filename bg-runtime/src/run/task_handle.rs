use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::task::{
    BoxTask, Progress, ProgressStream, TaskFailure, TaskId, Tracked, Tracker, Watcher,
};

/// A handle to one task. Awaiting it returns the outcome; dropping it leaves the task running.
///
/// From [`Background::spawn`](crate::Background::spawn),
/// [`BackgroundTasks::add_tracked`](crate::BackgroundTasks::add_tracked) or
/// [`Background::handle`](crate::Background::handle). Clones are handles to the same task. Each can be awaited,
/// also when the task has ended, and `&mut handle` again and again.
///
/// Of a durable task that is added to a request, it is a handle to the storing: it resolves to `Ok` when the task is
/// *stored*, and to a failure of kind [`NotStored`](crate::FailureKind::NotStored) if it could not be. The task runs
/// later, perhaps in another process, so its progress does not come here, and [`abort`](Self::abort) no longer reaches
/// it. Ask `background.stored().get(id)` for these, with the handle's [`id`](Self::id): its `outcome()` tells how the
/// task has ended.
///
/// Cancel safe: if `&mut handle` is awaited in a `select!` and another branch completes first, nothing is
/// lost.
#[derive(Clone)]
pub struct TaskHandle(Watcher);

impl TaskHandle {
    pub(crate) fn new(tracked: Arc<Tracked>) -> Self {
        Self(Watcher::new(tracked))
    }

    /// Makes a handle to a task that is about to be queued, and the end of it that goes along with the task.
    #[inline]
    pub(crate) fn track(task: &BoxTask) -> (Self, Tracker) {
        let tracker = Tracker::new(task.info(), task.id());
        (Self::new(tracker.tracked().clone()), tracker)
    }

    /// The task's id, which logs and reports show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.tracked().id()
    }

    /// Returns whether the task has its outcome, so that awaiting the handle returns at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.tracked().has_ended()
    }

    /// Returns the latest progress that the task has reported, also when it has ended. `None` if it has reported
    /// none.
    #[must_use]
    pub fn latest(&self) -> Option<Progress> {
        self.0.tracked().latest()
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
        ProgressStream::new(self.0.clone())
    }

    /// Aborts the task, unless it has ended: its outcome is `aborted` at once, and its future is dropped at
    /// its next await point. Of a task in a list that waits for its response or for a slot
    /// ([`max_concurrent`](crate::BackgroundBuilder::max_concurrent)), it is dropped when the turn of the list
    /// comes.
    ///
    /// In its list it counts as a failure: a list that stops at failures skips the tasks behind it
    /// ([`SkipReason::EarlierAbort`](crate::SkipReason::EarlierAbort)).
    ///
    /// A synchronous task that is running already cannot be stopped; its
    /// [`TaskContext`](crate::TaskContext) is cancelled.
    pub fn abort(&self) {
        self.0.tracked().abort();
    }
}

impl Future for TaskHandle {
    type Output = Result<(), TaskFailure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_end(cx)
    }
}

impl fmt::Debug for TaskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("task", &self.0.tracked().task().name())
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}
