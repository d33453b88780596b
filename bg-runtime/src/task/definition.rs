use std::any::TypeId;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::backoff::Backoff;
#[cfg(feature = "durable")]
use super::durable_def::DurableDef;
use super::failure::TaskFailure;
use super::limits::{OnFull, TaskLimits};
use super::rate::Rate;

/// The record of a task: everything that is known of it without an instance.
///
/// Made in a `const`, by [`#[background_task]`](macro@crate::background_task) or by hand:
///
/// ```
/// use bg_runtime::TaskDef;
/// use std::time::Duration;
///
/// const DEF: TaskDef = TaskDef::new("reports.nightly").timeout(Duration::from_secs(30));
/// assert_eq!(DEF.name(), "reports.nightly");
/// ```
#[derive(Clone, Copy)]
pub struct TaskDef {
    name: &'static str,
    location: &'static Location<'static>,
    pub(super) docs: &'static str,
    pub(super) timeout: Option<Duration>,
    pub(super) expires: Option<Duration>,
    pub(super) retries: u32,
    pub(super) backoff: Backoff,
    pub(super) limits: TaskLimits,
    on_error: Option<fn(&TaskFailure)>,
    blocking: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) states: &'static [StateDef],
    #[cfg(feature = "durable")]
    pub(super) durable: Option<DurableDef>,
}

impl TaskDef {
    /// Creates a record with this name, the location of this call, and no settings.
    ///
    /// The name identifies the task in logs and reports, and must be unique in the program:
    /// [`BackgroundBuilder::build`](crate::BackgroundBuilder::build) refuses two registered tasks
    /// with the same name.
    #[track_caller]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            location: Location::caller(),
            docs: "",
            timeout: None,
            expires: None,
            retries: 0,
            backoff: Backoff::DEFAULT,
            limits: TaskLimits::NONE,
            on_error: None,
            blocking: false,
            parameters: &[],
            states: &[],
            #[cfg(feature = "durable")]
            durable: None,
        }
    }

    /// Sets the documentation shown by [`Background::tasks`](crate::Background::tasks).
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets how long one run may take before it fails with
    /// [`FailureKind::Timeout`](crate::FailureKind::Timeout). By default that of
    /// [`BackgroundBuilder::default_timeout`](crate::BackgroundBuilder::default_timeout), if there is one;
    /// with [`Duration::MAX`] there is no limit.
    ///
    /// # Panics
    ///
    /// If the timeout is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        assert!(
            !timeout.is_zero(),
            "with a timeout of zero every run that waits even once fails"
        );
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long after it was queued the task may still begin its first run. After that it is skipped as
    /// [`SkipReason::Expired`](crate::SkipReason::Expired), and the tasks behind it in its list run. By
    /// default a task does not expire.
    ///
    /// A task is looked at when its turn comes, and from then on while it waits for a delay or a limit.
    /// Whether it runs again after a failure does not depend on this.
    ///
    /// # Panics
    ///
    /// If it is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn expires(mut self, after: Duration) -> Self {
        assert!(!after.is_zero(), "a task that expires at once never runs");
        self.expires = Some(after);
        self
    }

    /// Sets how many times the task runs again after a run that failed, panicked or timed out. 0 by
    /// default.
    ///
    /// Needs a task that can be copied: see [`Task::try_clone`](crate::Task::try_clone).
    #[must_use]
    pub const fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Sets the wait before each run after the first. [`Backoff::default`] by default.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how many tasks of this name run at once in one [`Background`](crate::Background); others
    /// wait, in order. No limit by default.
    ///
    /// # Panics
    ///
    /// If the limit is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn max_concurrent(mut self, limit: usize) -> Self {
        assert!(limit > 0, "with a limit of zero the task never runs");
        self.limits.concurrent = Some(limit);
        self
    }

    /// Sets how many tasks of this name with the same [`key`](crate::Task::key) run at once; others of
    /// that key wait for their turn, in order. No limit by default.
    ///
    /// # Panics
    ///
    /// If the limit is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn max_per_key(mut self, limit: usize) -> Self {
        assert!(limit > 0, "with a limit of zero the task never runs");
        self.limits.per_key = Some(limit);
        self
    }

    /// Sets how many tasks of this name with the same [`key`](crate::Task::key) may wait to run; what
    /// happens to more is set by [`on_full`](Self::on_full). No limit by default.
    ///
    /// # Panics
    ///
    /// If the limit is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn max_pending_per_key(mut self, limit: usize) -> Self {
        assert!(limit > 0, "with a limit of zero every task is refused");
        self.limits.pending_per_key = Some(limit);
        self
    }

    /// Sets how many tasks of this name with the same [`key`](crate::Task::key) may wait and run together;
    /// what happens to more is set by [`on_full`](Self::on_full). No limit by default.
    ///
    /// # Panics
    ///
    /// If the limit is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn max_unfinished_per_key(mut self, limit: usize) -> Self {
        assert!(limit > 0, "with a limit of zero every task is refused");
        self.limits.unfinished_per_key = Some(limit);
        self
    }

    /// Sets what happens to a task beyond [`max_pending_per_key`](Self::max_pending_per_key) or
    /// [`max_unfinished_per_key`](Self::max_unfinished_per_key); without one of the two it does nothing.
    /// [`OnFull::Reject`] by default.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.limits.on_full = on_full;
        self
    }

    /// Sets how many runs may begin in any span of time, for each [`key`](crate::Task::key) if the task has
    /// one, otherwise for the name; others wait, in order. Every run counts, those after a failure too. No
    /// limit by default.
    ///
    /// A shutdown that ends before the next run may begin aborts the tasks that wait at once.
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.limits.rate = Some(rate);
        self
    }

    /// Sets an error hook of the task's own. It is called with every failure of this task, before the
    /// hooks of the [`Background`](crate::Background).
    #[must_use]
    pub const fn on_error(mut self, on_error: fn(&TaskFailure)) -> Self {
        self.on_error = Some(on_error);
        self
    }

    /// Declares that the task occupies a thread of the blocking pool while it runs.
    ///
    /// Neither a timeout nor a shutdown can stop the thread; both cancel the task's
    /// [`TaskContext`](crate::TaskContext::cancelled). Work that goes on counts towards every limit until the
    /// thread has ended, and another attempt waits for that.
    ///
    /// Set for a plain `fn` with [`#[background_task]`](macro@crate::background_task), and for
    /// [`named_blocking`](crate::named_blocking). The library does not know a thread that a task written by
    /// hand starts itself: of such a task, what has a timeout no longer counts when its future is dropped.
    #[must_use]
    pub const fn blocking(mut self) -> Self {
        self.blocking = true;
        self
    }

    /// Sets the list of the task's arguments, in order. Empty by default.
    #[must_use]
    pub const fn parameters(mut self, parameters: &'static [Parameter]) -> Self {
        self.parameters = parameters;
        self
    }

    /// Sets the list of the states that the task asks its [`TaskContext`](crate::TaskContext) for,
    /// so that [`BackgroundBuilder::build`](crate::BackgroundBuilder::build) can check that
    /// they are there. Empty by default.
    #[must_use]
    pub const fn states(mut self, states: &'static [StateDef]) -> Self {
        self.states = states;
        self
    }

    /// The task's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The limits on the tasks of this name.
    #[must_use]
    pub const fn limits(&self) -> TaskLimits {
        self.limits
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn is_blocking(&self) -> bool {
        self.blocking
    }

    pub(crate) fn own_hook(&self) -> Option<fn(&TaskFailure)> {
        self.on_error
    }
}

impl fmt::Debug for TaskDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TaskDef");
        #[cfg(feature = "durable")]
        if let Some(durable) = &self.durable {
            shown.field("durable", durable);
        }
        shown
            .field("name", &self.name)
            .field("file", &self.location.file())
            .field("line", &self.location.line())
            .field("timeout", &self.timeout)
            .field("expires", &self.expires)
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .field("limits", &self.limits)
            .field("blocking", &self.blocking)
            .field("parameters", &self.parameters)
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

/// One argument of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    name: &'static str,
    type_name: &'static str,
    secret: bool,
}

impl Parameter {
    /// Describes an argument by its name and its type, as written in the source.
    #[must_use]
    pub const fn new(name: &'static str, type_name: &'static str) -> Self {
        Self {
            name,
            type_name,
            secret: false,
        }
    }

    /// Marks the argument as one whose value is never shown (`#[secret]`).
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The argument's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The argument's type, as written in the source.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        self.type_name
    }

    /// Returns whether the argument is marked `#[secret]`.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        self.secret
    }
}

/// A state that a task needs when it runs (`#[state]`).
#[derive(Clone, Copy)]
pub struct StateDef {
    parameter: &'static str,
    // Functions, because neither can be called in a `const` on every supported compiler.
    type_id: fn() -> TypeId,
    type_name: fn() -> &'static str,
}

impl StateDef {
    /// Describes a state of type `T`, for the parameter of this name.
    #[must_use]
    pub const fn of<T: 'static>(parameter: &'static str) -> Self {
        Self {
            parameter,
            type_id: TypeId::of::<T>,
            type_name: std::any::type_name::<T>,
        }
    }

    /// The name of the parameter that receives the state.
    #[must_use]
    pub const fn parameter(&self) -> &'static str {
        self.parameter
    }

    /// The state's type.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        (self.type_name)()
    }

    pub(crate) fn type_id(&self) -> TypeId {
        (self.type_id)()
    }
}

impl fmt::Debug for StateDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateDef")
            .field("parameter", &self.parameter)
            .field("type_name", &self.type_name())
            .finish()
    }
}
