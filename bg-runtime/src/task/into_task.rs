#[cfg(feature = "durable")]
use std::borrow::Cow;
use std::time::Duration;
#[cfg(feature = "durable")]
use std::time::SystemTime;

use super::Task;
use super::boxed::BoxTask;
use super::options::{Options, When};

/// Exactly one task: a struct made by [`#[background_task]`](macro@crate::background_task), any
/// other [`Task`], or a [`BoxTask`] as returned by [`named`](crate::named) and [`TaskExt`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not one background task",
    label = "not one background task",
    note = "put `#[background_task]` on the function, and pass the struct it makes, for example `SendEmail::new(..)` for `fn send_email`",
    note = "each task of a list or an `Option` is spawned, and has its conditions, on its own"
)]
pub trait IntoTask {
    /// Whether it is known to be durable while it compiles.
    #[cfg(feature = "durable")]
    #[doc(hidden)]
    const IS_DURABLE: bool = false;

    /// Converts into a task that is ready to be queued.
    fn into_task(self) -> BoxTask;
}

#[diagnostic::do_not_recommend]
impl<T: Task + Send> IntoTask for T {
    #[cfg(feature = "durable")]
    const IS_DURABLE: bool = T::DEF.is_durable();

    fn into_task(self) -> BoxTask {
        BoxTask::declared(self)
    }
}

impl IntoTask for BoxTask {
    fn into_task(self) -> BoxTask {
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
/// let in_any_case = RecordAttempt::new("ada").always();
/// let after_an_error = RecordAttempt::new("ada").on_error_response();
/// let later = RecordAttempt::new("ada").delay(Duration::from_secs(60));
/// let patient = RecordAttempt::new("ada").retries(5).timeout(Duration::from_secs(2));
/// let soon_or_never = RecordAttempt::new("ada").expires_in(Duration::from_secs(30));
/// let beside_all_others = RecordAttempt::new("ada").independent();
/// # let _ = (in_any_case, after_an_error, later, patient, soon_or_never, beside_all_others);
/// ```
pub trait TaskExt: IntoTask + Sized {
    /// Runs the task after every end of the request: also after an error response, and when the handler
    /// panics or is dropped.
    ///
    /// Without this, a task that was attached to a route, or added by a handler, is skipped in those
    /// cases.
    fn always(self) -> BoxTask {
        with(self.into_task(), |options| options.when = When::Always)
    }

    /// Runs the task only after an error response (status 400 and above), or when the handler
    /// panics or is dropped.
    fn on_error_response(self) -> BoxTask {
        with(self.into_task(), |options| {
            options.when = When::OnErrorResponse;
        })
    }

    /// Delays the first run by this long, counted from the task's turn. Zero by default.
    ///
    /// The tasks behind it in its list wait with it: add tasks that must not wait before it, or to a
    /// [`concurrent`](crate::BackgroundTasks::concurrent) list. A shutdown that ends before the wait
    /// does aborts the task at once.
    fn delay(self, delay: Duration) -> BoxTask {
        with(self.into_task(), |options| options.delay = delay)
    }

    /// Makes the task a list of its own, wherever it is added: to a list, or to a list inside another.
    ///
    /// It starts when the first task of its request does. It waits for no other task, for none of their
    /// retries and delays, and no failure of theirs keeps it from running; nor does its own keep others
    /// from running. Its conditions ([`always`](Self::always),
    /// [`on_error_response`](Self::on_error_response)) are those of the place where it was added, and it
    /// has a slot of its own under
    /// [`max_concurrent`](crate::BackgroundBuilder::max_concurrent), for which it lines up before the
    /// other tasks of its request. No effect on a task that is spawned, which is alone anyway.
    ///
    /// For what must be known even if the rest fails, such as an audit that middleware writes.
    fn independent(self) -> BoxTask {
        with(self.into_task(), |options| options.independent = true)
    }

    /// Sets how long one run may take, instead of the `timeout` that the task is declared with. A
    /// timeout of zero fails any run that waits even once; [`Duration::MAX`] is no limit, not even
    /// [`default_timeout`](crate::BackgroundBuilder::default_timeout).
    fn timeout(self, timeout: Duration) -> BoxTask {
        with(self.into_task(), |options| options.timeout = Some(timeout))
    }

    /// Skips the task if it has not begun its first run this long after it was queued, instead of the
    /// `expires` that it is declared with: see [`TaskDef::expires`](crate::TaskDef::expires). Neither is
    /// set by default.
    ///
    /// A task that is skipped is reported with [`SkipReason::Expired`](crate::SkipReason::Expired), and
    /// the tasks behind it in its list run. With a duration of zero the task never runs.
    fn expires_in(self, after: Duration) -> BoxTask {
        with(self.into_task(), |options| options.expires = Some(after))
    }

    /// Sets how many times the task runs again after a run that failed, panicked or timed out, instead
    /// of the `retries` that it is declared with. The waits between are those of its `backoff`.
    ///
    /// Each run needs a copy of the task: see [`Retryable`]. Call this before the other methods: after
    /// one of them, copies come only from [`Task::try_clone`].
    fn retries(self, retries: u32) -> BoxTask
    where
        Self: Retryable,
    {
        with(self.into_retryable(), |options| {
            options.retries = Some(retries);
        })
    }

    /// Runs the task at this time, or at once if it has passed, in place of any [`delay`](Self::delay).
    ///
    /// A durable task waits in the store. Any other waits in its list when its turn comes, as with a delay, and a
    /// shutdown that ends before aborts it.
    #[cfg(feature = "durable")]
    fn at(self, time: SystemTime) -> BoxTask {
        with(self.into_task(), |options| options.due = Some(time))
    }

    /// Stores the task only if no other of its name with the same arguments is unfinished; otherwise it is skipped as
    /// [`SkipReason::Duplicate`](crate::SkipReason::Duplicate). The arguments are those that the declaration names with
    /// `unique = [..]`, or all that are not `#[secret]`.
    ///
    /// For durable tasks: any other runs as it would without, and an error is logged.
    #[cfg(feature = "durable")]
    fn unique(self) -> BoxTask {
        with(self.into_task(), |options| options.unique = true)
    }

    /// Like [`unique`](Self::unique), and for at least this long, even if the other task ends before.
    ///
    /// For durable tasks: any other runs as it would without, and an error is logged.
    #[cfg(feature = "durable")]
    fn unique_for(self, period: Duration) -> BoxTask {
        with(self.into_task(), |options| {
            options.unique = true;
            options.unique_for = Some(period);
        })
    }

    /// Sets how urgent the task is among those that wait in its queue: from 1, which is the most urgent and the
    /// default, to 4. A number outside of these is taken for the nearest.
    ///
    /// For durable tasks: any other runs as it would without, and an error is logged.
    #[cfg(feature = "durable")]
    fn queue_priority(self, priority: u8) -> BoxTask {
        with(self.into_task(), |options| {
            options.priority = Some(priority.clamp(1, 4));
        })
    }

    /// Stores the task in this queue, instead of the one that it is declared with.
    ///
    /// For durable tasks: any other runs as it would without, and an error is logged.
    #[cfg(feature = "durable")]
    fn queue(self, queue: impl Into<Cow<'static, str>>) -> BoxTask {
        with(self.into_task(), |options| {
            options.queue = Some(queue.into());
        })
    }

    /// Runs a durable task in this process, like one that is not durable: it is not stored, and is lost with the
    /// process. No effect on any other task.
    #[cfg(feature = "durable")]
    fn in_process(self) -> BoxTask {
        with(self.into_task(), |options| options.in_process = true)
    }
}

impl<T: IntoTask> TaskExt for T {}

fn with(mut task: BoxTask, set: impl FnOnce(&mut Options)) -> BoxTask {
    set(task.options_mut());
    task
}

/// A task that can run again: one that is [`Clone`], as a struct made by
/// [`#[background_task]`](macro@crate::background_task) is if its arguments are.
///
/// A [`BoxTask`] can if [`Task::try_clone`] gives copies, or if [`retries`](TaskExt::retries) was the
/// first method called on the task. One-off tasks ([`named`](crate::named)) run once, even with
/// retries; a warning says so when they run.
#[doc(alias = "Repeat")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run again",
    label = "not `Clone`",
    note = "each run of a task consumes its arguments, so a task with retries is `Clone`"
)]
pub trait Retryable: IntoTask {
    #[doc(hidden)]
    fn into_retryable(self) -> BoxTask;
}

impl<T: Task + Send + Clone> Retryable for T {
    fn into_retryable(self) -> BoxTask {
        BoxTask::retryable(self)
    }
}

impl Retryable for BoxTask {
    fn into_retryable(self) -> BoxTask {
        self
    }
}
