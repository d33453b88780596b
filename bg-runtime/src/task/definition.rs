use std::any::TypeId;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::backoff::Backoff;
use super::failure::TaskFailure;

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
    pub(super) retries: u32,
    pub(super) backoff: Backoff,
    pub(super) limits: TaskLimits,
    on_error: Option<fn(&TaskFailure)>,
    blocking: bool,
    pub(super) parameters: &'static [Parameter],
    pub(super) states: &'static [StateDef],
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
            retries: 0,
            backoff: Backoff::DEFAULT,
            limits: TaskLimits::NONE,
            on_error: None,
            blocking: false,
            parameters: &[],
            states: &[],
        }
    }

    /// Sets the documentation shown by [`Background::tasks`](crate::Background::tasks).
    #[must_use]
    pub const fn docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// Sets how long one run may take before it fails with
    /// [`FailureKind::Timeout`](crate::FailureKind::Timeout). No limit by default.
    ///
    /// # Panics
    ///
    /// If the timeout is zero. In a `const`, where records are made, this is a compile error.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        assert!(
            !timeout.is_zero(),
            "a timeout of zero ends every run before it begins"
        );
        self.timeout = Some(timeout);
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

    /// Sets how many tasks of this name with the same [`key`](crate::Task::key) may wait to run; more
    /// are refused, with [`FailureKind::Rejected`](crate::FailureKind::Rejected). No limit by default.
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
    /// [`TaskContext`](crate::TaskContext::cancelled). Work that goes on after the timeout no longer
    /// counts towards any limit.
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
        f.debug_struct("TaskDef")
            .field("name", &self.name)
            .field("file", &self.location.file())
            .field("line", &self.location.line())
            .field("timeout", &self.timeout)
            .field("retries", &self.retries)
            .field("backoff", &self.backoff)
            .field("limits", &self.limits)
            .field("blocking", &self.blocking)
            .field("parameters", &self.parameters)
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

/// The limits on the tasks of one name. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TaskLimits {
    /// The number of tasks that may run at once.
    pub concurrent: Option<usize>,
    /// The number of tasks with the same key that may run at once.
    pub per_key: Option<usize>,
    /// The number of tasks with the same key that may wait to run.
    pub pending_per_key: Option<usize>,
}

impl TaskLimits {
    pub(super) const NONE: Self = Self {
        concurrent: None,
        per_key: None,
        pending_per_key: None,
    };
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
