use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::backoff::Backoff;
use super::definition::{Parameter, StateDef, TaskDef};
use super::limits::TaskLimits;

/// Describes a task: a declared one by its [`TaskDef`], a one-off task by its name and location.
///
/// Displays as `name (file:line)`.
#[derive(Clone, Copy)]
pub struct TaskInfo(Declaration);

#[derive(Clone, Copy)]
enum Declaration {
    Declared(&'static TaskDef),
    OneOff {
        name: &'static str,
        location: &'static Location<'static>,
        blocking: bool,
    },
}

impl TaskInfo {
    pub(crate) fn declared(def: &'static TaskDef) -> Self {
        Self(Declaration::Declared(def))
    }

    pub(crate) fn one_off(
        name: &'static str,
        location: &'static Location<'static>,
        blocking: bool,
    ) -> Self {
        Self(Declaration::OneOff {
            name,
            location,
            blocking,
        })
    }

    pub(crate) fn def(&self) -> Option<&'static TaskDef> {
        match self.0 {
            Declaration::Declared(def) => Some(def),
            Declaration::OneOff { .. } => None,
        }
    }

    fn location(&self) -> &'static Location<'static> {
        match self.0 {
            Declaration::Declared(def) => def.location(),
            Declaration::OneOff { location, .. } => location,
        }
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0 {
            Declaration::Declared(def) => def.name(),
            Declaration::OneOff { name, .. } => name,
        }
    }

    /// The source file in which the task is declared, or in which a one-off task is made.
    #[must_use]
    pub fn file(&self) -> &'static str {
        self.location().file()
    }

    /// The line in [`file`](Self::file).
    #[must_use]
    pub fn line(&self) -> u32 {
        self.location().line()
    }

    /// The task's documentation. Empty if it has none.
    #[must_use]
    pub fn docs(&self) -> &'static str {
        self.def().map_or("", |def| def.docs)
    }

    /// The task's arguments, in order. Empty for one-off tasks.
    #[must_use]
    pub fn parameters(&self) -> &'static [Parameter] {
        self.def().map_or(&[], |def| def.parameters)
    }

    /// The states that the task needs when it runs.
    #[must_use]
    pub fn states(&self) -> &'static [StateDef] {
        self.def().map_or(&[], |def| def.states)
    }

    /// The longest time that one run may take. `None` if the task sets none, and has that of
    /// [`BackgroundBuilder::default_timeout`](crate::BackgroundBuilder::default_timeout).
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.def().and_then(|def| def.timeout)
    }

    /// The longest time from being queued to the first run. `None` if the task does not expire.
    #[must_use]
    pub fn expires(&self) -> Option<Duration> {
        self.def().and_then(|def| def.expires)
    }

    /// The number of times that the task runs again after a run that failed.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.def().map_or(0, |def| def.retries)
    }

    /// The wait before each run after the first.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.def().map_or(Backoff::DEFAULT, |def| def.backoff)
    }

    /// The limits on the tasks of this name.
    #[must_use]
    pub fn limits(&self) -> TaskLimits {
        *self.limits_ref()
    }

    /// Returns [`limits`](Self::limits) without a copy, which is not small.
    pub(crate) fn limits_ref(&self) -> &'static TaskLimits {
        self.def().map_or(&TaskLimits::NONE, |def| &def.limits)
    }

    /// Returns whether the task runs on the blocking pool.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        match self.0 {
            Declaration::Declared(def) => def.is_blocking(),
            Declaration::OneOff { blocking, .. } => blocking,
        }
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name(), self.file(), self.line())
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskInfo")
            .field("name", &self.name())
            .field("file", &self.file())
            .field("line", &self.line())
            .field("parameters", &self.parameters())
            .field("states", &self.states())
            .field("timeout", &self.timeout())
            .field("expires", &self.expires())
            .field("retries", &self.retries())
            .field("limits", &self.limits())
            .finish_non_exhaustive()
    }
}
