use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::skipped::Skipped;
use super::task_ref::TaskRef;
use super::{RequestInfo, Task, TaskId, TaskInfo, UnrunTask};
use crate::contain::Contained;
use crate::one_line::OneLine;

/// The report of a task that did not succeed. Error hooks receive it, and a
/// [`TaskHandle`](crate::TaskHandle) resolves to it.
///
/// Cheap to clone. Displays as one line that names the task, its file and line, and the error. The
/// error's text is cut at 4 KiB, and characters that would break the line are escaped.
#[derive(Clone)]
pub struct TaskFailure(Arc<FailureParts>);

/// The fields of a [`TaskFailure`].
pub(crate) struct FailureParts {
    pub(crate) task: TaskRef,
    pub(crate) kind: FailureKind,
    // Contained, because the user's error may panic when the last clone is dropped.
    pub(crate) error: Contained<Arc<dyn Error + Send + Sync>>,
    pub(crate) arguments: Option<Box<str>>,
    pub(crate) attempt: u32,
    /// How long the task waits for its next run; `None` if there is none.
    pub(crate) retry_in: Option<Duration>,
    pub(crate) elapsed: Duration,
    pub(crate) skipped: Skipped,
    /// The task itself, if no run was under way and it is at hand.
    pub(crate) unrun: Option<UnrunTask>,
}

/// The kind of a [`TaskFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The task returned an error.
    Error,
    /// The task panicked. The error's text is the panic's message.
    Panic,
    /// The task ran for longer than its timeout allows.
    Timeout,
    /// The task was stopped, or not started, by a shutdown, by
    /// [`TaskHandle::abort`](crate::TaskHandle::abort), or because its runtime is gone.
    Aborted,
    /// The task was refused when it was queued, because a limit was reached:
    /// [`max_pending`](crate::BackgroundBuilder::max_pending) with
    /// [`Overflow::Reject`](crate::Overflow::Reject), or `max_pending_per_key` or
    /// `max_unfinished_per_key` of the task; or because it came between a drain and the next
    /// [`serve`](crate::Background::serve).
    Rejected,
    /// The task did not run. The error is a [`SkipReason`](crate::SkipReason), which says why: most often
    /// the request or its response.
    Skipped,
    /// A durable task could not be stored, and will not run. The error says why.
    NotStored,
    /// The stored arguments of a durable task cannot be read. The task goes back to the store: another worker may
    /// know how to.
    Undecodable,
    /// The worker lost its hold of a durable task: it was silent for longer than the lease, and the store has given the
    /// task to another, or has given it up because that happened too often.
    Lost,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Panic => "panic",
            Self::Timeout => "timeout",
            Self::Aborted => "aborted",
            Self::Rejected => "rejected",
            Self::Skipped => "skipped",
            Self::NotStored => "not stored",
            Self::Undecodable => "undecodable",
            Self::Lost => "lost",
        })
    }
}

impl TaskFailure {
    pub(crate) fn new(parts: FailureParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Creates the failure of a task whose outcome was lost: the sender of its handle was dropped
    /// without sending it.
    pub(crate) fn lost(task: TaskInfo, id: TaskId) -> Self {
        Self::new(FailureParts {
            task: TaskRef {
                task,
                id,
                request: None,
            },
            kind: FailureKind::Aborted,
            error: Contained::new(Arc::new(AbortReason::Dropped)),
            arguments: None,
            attempt: 0,
            retry_in: None,
            elapsed: Duration::ZERO,
            skipped: Skipped::default(),
            unrun: None,
        })
    }

    /// Returns the failure without the [task itself](Self::downcast_ref).
    pub(crate) fn without_task(&self) -> Self {
        let parts = &*self.0;
        if parts.unrun.is_none() {
            return self.clone();
        }
        Self::new(FailureParts {
            task: parts.task.clone(),
            kind: parts.kind,
            error: parts.error.clone(),
            arguments: parts.arguments.clone(),
            attempt: parts.attempt,
            retry_in: parts.retry_in,
            elapsed: parts.elapsed,
            // One that did not run keeps nothing from running.
            skipped: Skipped::default(),
            unrun: None,
        })
    }

    pub(crate) fn task_ref(&self) -> &TaskRef {
        &self.0.task
    }

    /// The task's name, file and line.
    #[must_use]
    pub fn task(&self) -> &TaskInfo {
        &self.0.task.task
    }

    /// The task's id, which logs show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.0.task.id
    }

    /// The task's arguments as their `Debug` shows them, on one line, cut at 1 KiB; `#[secret]`
    /// ones as `***`.
    ///
    /// `None` if there are none, or if one of them has no `Debug`. `None`, too, if the task was aborted before its
    /// turn, which is when arguments are formatted, and was [out of reach](Self::downcast_ref).
    #[must_use]
    pub fn arguments(&self) -> Option<String> {
        self.0.arguments.as_deref().map(str::to_owned)
    }

    /// The task's own error if the kind is [`FailureKind::Error`], otherwise one of the library's.
    #[must_use]
    pub fn error(&self) -> &(dyn Error + Send + Sync + 'static) {
        &**self.0.error
    }

    /// The kind of the failure.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// The number of the run that failed, from 1; of the latest run, if the task was aborted between
    /// two. 0 if it has not run.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.attempt
    }

    /// Returns whether the task will run again. If so, this is not its outcome: error hooks are called
    /// for each run that fails.
    #[must_use]
    pub fn will_retry(&self) -> bool {
        self.0.retry_in.is_some()
    }

    /// How long the task waits for its next run. `None` if it [will not run again](Self::will_retry).
    #[must_use]
    pub fn retry_in(&self) -> Option<Duration> {
        self.0.retry_in
    }

    /// The duration of the run. Zero if none was under way.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed
    }

    /// The request that queued the task. `None` if the task was spawned.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        self.0.task.request.as_deref()
    }

    /// The task itself, with its arguments, if it is a `T` and did not run: so that a hook can save it.
    ///
    /// `Some` for a task that was skipped, that a limit refused, or that a shutdown or the end of its runtime
    /// aborted while it waited: for a delay, for its next run, for a slot or a limit, or for the tasks before it in
    /// its list. After a run that failed, it is the copy that the next run would have consumed.
    ///
    /// `None` if it is in a run, or a run consumed it, and for tasks made by [`named`](crate::named) and
    /// [`named_blocking`](crate::named_blocking). Also `None` where the task is out of reach: its handle aborted
    /// it, it was queued after the shutdown, or the shutdown left behind what it waits for, which is a response that
    /// an open connection still holds, or a task before it that blocks its thread. Such a task is known by its
    /// [`arguments`](Self::arguments) at most.
    ///
    /// ```standalone_crate
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// use bg_runtime::{Background, FailureKind, TaskExt, background_task};
    ///
    /// #[background_task]
    /// async fn send_mail(to: String) {}
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let saved = Arc::new(Mutex::new(Vec::new()));
    /// let hook = saved.clone();
    /// let background = Background::builder()
    ///     .on_error(move |failure| {
    ///         // Not of a request that failed, or one too many: those are not to be done.
    ///         if failure.kind() != FailureKind::Aborted {
    ///             return;
    ///         }
    ///         if let Some(mail) = failure.downcast_ref::<SendMail>() {
    ///             hook.lock().unwrap().push(mail.to.clone());
    ///         }
    ///     })
    ///     .build()?;
    ///
    /// drop(background.spawn(SendMail::new("a@b.c").delay(Duration::from_secs(3600))));
    /// # tokio::task::yield_now().await;
    /// background.shutdown().await;
    /// assert_eq!(*saved.lock().unwrap(), ["a@b.c"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn downcast_ref<T: Task + Send + Sync>(&self) -> Option<&T> {
        self.0.unrun.as_ref()?.downcast_ref()
    }

    /// The tasks after this one that will not run because of it.
    #[must_use]
    pub fn skipped(&self) -> &[TaskInfo] {
        self.0.skipped.as_slice()
    }
}

impl fmt::Display for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind() {
            FailureKind::Error => "failed",
            FailureKind::Panic => "panicked",
            FailureKind::Timeout => "timed out",
            FailureKind::Aborted => "was aborted",
            FailureKind::Rejected => "was rejected",
            FailureKind::Skipped => "was skipped",
            FailureKind::NotStored => "was not stored",
            FailureKind::Undecodable => "cannot be decoded",
            FailureKind::Lost => "was lost",
        };
        write!(
            f,
            "background task {} {verb}: {}",
            self.task(),
            OneLine(Chain(self.error()))
        )?;
        match self.attempt() {
            attempt if self.will_retry() => write!(f, " (attempt {attempt}, it will run again)"),
            0 | 1 => Ok(()),
            attempt => write!(f, " (attempt {attempt})"),
        }
    }
}

impl fmt::Debug for TaskFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskFailure")
            .field("task", &self.task().name())
            .field("id", &self.id())
            .field("kind", &self.kind())
            .field("error", &self.error())
            .field("arguments", &self.0.arguments)
            .field("attempt", &self.attempt())
            .field("retry_in", &self.retry_in())
            .field("elapsed", &self.elapsed())
            .field("request", &self.request())
            .field("skipped", &self.skipped())
            .finish_non_exhaustive()
    }
}

/// Displays an error with its causes: `mail not sent: connection refused`. A cause is left out if the
/// error before it ends with the same text.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut error = self.0;
        while let Some(cause) = error.source() {
            let text = cause.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            (error, said) = (cause, text);
        }
        Ok(())
    }
}

impl Error for TaskFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error().source()
    }
}

/// Why a task was aborted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AbortReason {
    Shutdown,
    /// What it waits for, a delay or its next run, is due after the end of the shutdown.
    DueAfterShutdown,
    /// It was queued when the shutdown was over.
    AfterShutdown,
    Handle,
    /// Its `OutcomeGuard`, or the sender of its handle, was dropped without an outcome.
    Dropped,
    /// Somebody cancelled it in the store.
    #[cfg(feature = "durable")]
    Cancelled,
    /// A test took it from its recorder.
    Taken,
    /// A test dropped its recorder before it had run the task.
    RecorderDropped,
}

impl AbortReason {
    /// Returns whether error hooks and the log hear about it. `false` for aborts that a test asked
    /// for.
    pub(crate) fn is_reported(self) -> bool {
        !matches!(self, Self::Taken | Self::RecorderDropped)
    }
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "the shutdown did not wait any longer",
            Self::DueAfterShutdown => "its next run was due after the end of the shutdown",
            Self::AfterShutdown => "it was queued after the shutdown, when nothing runs any more",
            Self::Handle => "its handle aborted it",
            Self::Dropped => {
                "no tokio runtime is left to run it (none was running, it was shut down, or it has no timers)"
            }
            #[cfg(feature = "durable")]
            Self::Cancelled => "it was cancelled",
            Self::Taken => "the test took it from its recorder",
            Self::RecorderDropped => "its recorder was dropped before it ran",
        })
    }
}

impl Error for AbortReason {}

/// The error of a task that ran for too long.
#[derive(Debug)]
pub(crate) struct TimedOut(pub(crate) Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it did not finish within {:?}", self.0)
    }
}

impl Error for TimedOut {}
