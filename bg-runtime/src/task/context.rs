use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

#[cfg(feature = "durable")]
use super::Baggage;
use super::id::TaskId;
use super::progress::Progress;
use super::request_info::RequestInfo;
use super::response_info::ResponseInfo;
use super::state::{MissingState, State};
use super::task_ref::TaskRef;
use crate::log_target::TASK;
use crate::one_line::OneLine;
use crate::run::{EntryKey, Runner};

/// The current run, as its task sees it (`#[context]`).
#[derive(Clone)]
pub struct TaskContext {
    pub(crate) task: TaskRef,
    pub(crate) attempt: u32,
    /// For a run of a synchronous task, which more than the shutdown cancels: see `run/attempt.rs`.
    pub(crate) own_cancel: Option<CancellationToken>,
    /// The number of the signals that there were when the run began: see `run/period.rs`.
    pub(crate) signals: u64,
    pub(crate) entry: EntryKey,
    #[cfg(feature = "durable")]
    pub(crate) baggage: Option<Arc<Baggage>>,
    // The one arrow from here up to the runner: a context is a handle to it, and a trait between the
    // two would have one implementor. A clone that outlives the run keeps the runner alive, and with it
    // the threads of `isolated`.
    pub(crate) runner: Arc<Runner>,
}

impl TaskContext {
    /// The task's id, which logs and reports show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.task.id
    }

    /// The number of this run, from 1. More than 1 if an earlier run failed and the task has `retries`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request that queued the task. `None` if the task was spawned.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        self.task.request.as_deref()
    }

    /// How the response to that request went: its status, how much of it was sent, whether that was all, and
    /// how long it took.
    ///
    /// `None` if the task was spawned, if the request has no response (its handler panicked, or was
    /// dropped because the client had left), and while the response is still being sent. A task begins
    /// after that, unless it came with a request inside of which a task is spawned, so `None` means that
    /// there is none. A task that is added when the response has gone sees it as well.
    ///
    /// With a [`Recorder`](crate::testing::Recorder), which sends nothing, it is as if a client had taken
    /// all of a body whose length is known; of one that is streamed, what the test has read.
    ///
    /// ```
    /// use bg_runtime::{TaskContext, background_task};
    ///
    /// #[background_task]
    /// fn log_access(#[context] cx: TaskContext) {
    ///     let (Some(request), Some(response)) = (cx.request(), cx.response()) else {
    ///         return;
    ///     };
    ///     let cut = if response.complete { "" } else { ", cut short" };
    ///     println!(
    ///         "{request}: {}, {} bytes{cut}, {:?}",
    ///         response.status, response.bytes, response.elapsed
    ///     );
    /// }
    /// ```
    #[must_use]
    pub fn response(&self) -> Option<ResponseInfo> {
        self.request()?.response()
    }

    /// What travels along with the task from the process that queued it: see
    /// [`BackgroundBuilder::baggage`](crate::BackgroundBuilder::baggage). Empty without one.
    #[cfg(feature = "durable")]
    #[must_use]
    pub fn baggage(&self) -> &std::collections::BTreeMap<String, String> {
        static NONE: Baggage = Baggage::new();
        self.baggage.as_deref().unwrap_or(&NONE)
    }

    /// Waits until the task should stop: a shutdown has waited for its `drain_timeout`, and will abort
    /// the task shortly. See [`stopping`](Self::stopping) for its begin. For a synchronous task, also until its timeout passes or
    /// [`TaskHandle::abort`](crate::TaskHandle::abort) is called.
    ///
    /// For a stored task, also until any process cancels it (`background.stored().get(id).cancel()`), or until this
    /// worker has learned that the store has given the task to another one. A second later its future is dropped.
    ///
    /// Cancel safe.
    pub async fn cancelled(&self) {
        self.cancellation().cancelled().await;
    }

    /// Returns whether the task should stop, without waiting for [`cancelled`](Self::cancelled). For
    /// loops in synchronous tasks.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancellation().is_cancelled()
    }

    fn cancellation(&self) -> CancellationToken {
        let own = self.own_cancel.clone();
        own.unwrap_or_else(|| self.runner.cancellation(self.signals))
    }

    /// Waits until the shutdown begins, which leaves the task up to the `drain_timeout` to finish.
    ///
    /// It begins when the last [`serve`](crate::Background::serve) that runs is told to stop, or
    /// [`Background::shutdown`](crate::Background::shutdown) is called. A task that ends only when it
    /// is told to, such as one that reads a queue, waits for this. [`cancelled`](Self::cancelled) comes
    /// later, when there is no time left.
    ///
    /// Cancel safe.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use bg_runtime::{Background, TaskContext, background_task};
    ///
    /// #[background_task]
    /// async fn poll_mailbox(#[context] cx: TaskContext) {
    ///     loop {
    ///         // .. look for mail ..
    ///         tokio::select! {
    ///             () = cx.stopping() => return,
    ///             () = tokio::time::sleep(Duration::from_secs(60)) => {}
    ///         }
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let background = Background::global();
    /// background.spawn(PollMailbox);
    /// assert!(background.shutdown().await.is_clean());
    /// # }
    /// ```
    pub async fn stopping(&self) {
        self.runner.stopping(self.signals).cancelled().await;
    }

    /// Returns whether the shutdown has begun, without waiting for [`stopping`](Self::stopping). For loops
    /// in synchronous tasks.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.runner.stopping(self.signals).is_cancelled()
    }

    /// Reports how far the task has come: `done` of `total`, in a unit of the task's choice, and a
    /// message that says what it is doing.
    ///
    /// The report reaches [`TaskHandle::progress`](crate::TaskHandle::progress), and is an event of
    /// level `DEBUG` in the task's span. Never waits: only the latest report is kept.
    ///
    /// That of a stored task reaches every process that has its store, through `StoredTask::progress` and
    /// `TaskStatus::progress`: the latest report, at most ten times in a second. The process that stored the task does
    /// not get it through the handle of [`add_tracked`](crate::BackgroundTasks::add_tracked).
    ///
    /// ```
    /// use bg_runtime::{TaskContext, background_task};
    ///
    /// #[background_task]
    /// async fn import(rows: Vec<String>, #[context] cx: TaskContext) {
    ///     let total = rows.len() as u64;
    ///     for (done, row) in (0..).zip(rows) {
    ///         cx.progress(done, total, format!("importing {row}"));
    ///         // ..
    ///     }
    ///     cx.progress(total, total, "imported");
    /// }
    /// ```
    pub fn progress(&self, done: u64, total: u64, message: impl Into<String>) {
        let progress = Progress::new(done, total, message.into());
        tracing::debug!(
            target: TASK,
            {
                task.name = self.task.task.name(),
                done,
                total,
            },
            "{}",
            OneLine(progress.message())
        );
        self.runner.set_progress(self.entry, progress);
    }

    /// Returns a clone of the state of type `T` that was given to `Background::builder().state(..)`.
    ///
    /// `parameter` is the name that the error shows for it.
    ///
    /// # Errors
    ///
    /// If no such state was given. `build()` has checked this for every registered task that lists its
    /// states in [`TaskDef::states`](crate::TaskDef::states).
    pub fn state<T: State>(&self, parameter: &'static str) -> Result<T, MissingState> {
        self.runner.states().get().ok_or_else(|| MissingState {
            task: self.task.task,
            parameter,
            type_name: std::any::type_name::<T>(),
            source: self.runner.source_of_states(),
        })
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("id", &self.id())
            .field("task", &self.task.task.name())
            .field("attempt", &self.attempt)
            .field("request", &self.request())
            .field("response", &self.response())
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
