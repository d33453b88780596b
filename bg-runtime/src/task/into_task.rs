use std::time::Duration;

use super::Task;
use super::boxed::QueuedTask;
use super::options::{Options, When};

/// Exactly one task: a struct made by [`#[background_task]`](macro@crate::background_task), any
/// other [`Task`], or what [`named`](crate::named) and [`TaskExt`] give.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one background task",
    label = "not one background task",
    note = "put `#[background_task]` on the function, and pass the struct it makes, for example `SendEmail::new(..)` for `fn send_email`",
    note = "each task of a list or an `Option` is spawned, and has its conditions, on its own"
)]
pub trait IntoTask {
    /// The task, ready to be queued.
    fn into_task(self) -> QueuedTask;
}

#[diagnostic::do_not_recommend]
impl<T: Task + Send> IntoTask for T {
    fn into_task(self) -> QueuedTask {
        QueuedTask::declared(self)
    }
}

impl IntoTask for QueuedTask {
    fn into_task(self) -> QueuedTask {
        self
    }
}

/// Settings of one queued task.
///
/// ```
/// use std::time::Duration;
///
/// use bg_runtime::{TaskExt, background_task};
///
/// #[background_task]
/// async fn record_attempt(user: String) {
///     // ..
/// }
///
/// let whatever_comes = RecordAttempt::new("ada").always();
/// let when_it_went_wrong = RecordAttempt::new("ada").on_error_response();
/// let later = RecordAttempt::new("ada").delay(Duration::from_secs(60));
/// let patient = RecordAttempt::new("ada").retries(5).timeout(Duration::from_secs(2));
/// # let _ = (whatever_comes, when_it_went_wrong, later, patient);
/// ```
pub trait TaskExt: IntoTask + Sized {
    /// Runs the task whatever becomes of the request: after an error response, and when the handler
    /// panics or is dropped, too.
    ///
    /// Without it a task that was attached to a route, or added by a handler, is skipped then.
    fn always(self) -> QueuedTask {
        with(self.into_task(), |options| options.when = When::Always)
    }

    /// Runs the task only after an error response (status 400 and above), or when the handler
    /// panics or is dropped.
    fn on_error_response(self) -> QueuedTask {
        with(self.into_task(), |options| {
            options.when = When::OnErrorResponse;
        })
    }

    /// Waits this long, when the task's turn has come, before its first run.
    ///
    /// The tasks behind it in its list wait with it: what is not to wait belongs before it, or into a
    /// [`concurrent`](crate::BackgroundTasks::concurrent) list. A shutdown that ends before the wait
    /// does aborts the task at once.
    fn delay(self, delay: Duration) -> QueuedTask {
        with(self.into_task(), |options| options.delay = delay)
    }

    /// Sets how long one run may take, instead of the `timeout` that the task is declared with. With no
    /// time at all, only a run that never waits is a success.
    fn timeout(self, timeout: Duration) -> QueuedTask {
        with(self.into_task(), |options| options.timeout = Some(timeout))
    }

    /// Sets how many times the task runs again after a run that failed, panicked or timed out, instead
    /// of the `retries` that it is declared with. The waits between are those of its `backoff`.
    ///
    /// Each run needs a copy of the task: see [`Repeat`]. Call this first: what the other methods give
    /// can be copied only where [`Task::again`] can.
    fn retries(self, retries: u32) -> QueuedTask
    where
        Self: Repeat,
    {
        with(self.into_repeated(), |options| {
            options.retries = Some(retries);
        })
    }
}

impl<T: IntoTask> TaskExt for T {}

fn with(mut task: QueuedTask, set: impl FnOnce(&mut Options)) -> QueuedTask {
    set(task.options_mut());
    task
}

/// A task that can run again: one that is [`Clone`], as a struct made by
/// [`#[background_task]`](macro@crate::background_task) is when its arguments are.
///
/// A [`QueuedTask`] can if [`Task::again`] gives copies, or if `retries` was the first thing asked of it. One-off tasks ([`named`](crate::named)) run
/// once, whatever is asked of them; a warning says so when they run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run again",
    label = "not `Clone`",
    note = "each run of a task consumes its arguments, so a task with retries is `Clone`"
)]
pub trait Repeat: IntoTask {
    #[doc(hidden)]
    fn into_repeated(self) -> QueuedTask;
}

impl<T: Task + Send + Clone> Repeat for T {
    fn into_repeated(self) -> QueuedTask {
        QueuedTask::repeated(self)
    }
}

impl Repeat for QueuedTask {
    fn into_repeated(self) -> QueuedTask {
        self
    }
}
