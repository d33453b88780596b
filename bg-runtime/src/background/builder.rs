use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::build_error::{BuildError, Problem};
use crate::Background;
use crate::registry;
use crate::run::{Hooks, Runner, TaskFailure};
use crate::task::{MissingState, State, States, StatesBuilder, TaskInfo};

/// How long a shutdown waits by default.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Configures a [`Background`].
#[must_use = "a builder does nothing until `build()`"]
pub struct BackgroundBuilder {
    states: StatesBuilder,
    hooks: Hooks,
    drain_timeout: Duration,
}

impl BackgroundBuilder {
    pub(super) fn new() -> Self {
        Self {
            states: StatesBuilder::default(),
            hooks: Hooks::default(),
            drain_timeout: DRAIN_TIMEOUT,
        }
    }

    /// Gives a state to the tasks that have a `#[state]` parameter of this type. One per type.
    #[track_caller]
    pub fn state<T: State>(mut self, state: T) -> Self {
        self.states.insert(state, Location::caller());
        self
    }

    /// Adds a function that is told of every task that is not a success: that failed, panicked,
    /// timed out, was aborted, or was skipped because of its request.
    ///
    /// It is called where the outcome is known, after the task's own `on_error`, and should not
    /// block. A panic in it is caught and logged. It may queue tasks; what becomes of those is
    /// logged, and not told to hooks, which would go round in circles. Without any such function,
    /// failures are `tracing` events of level `ERROR` (`INFO` for tasks skipped because of an error
    /// response or a client that went away).
    pub fn on_error(mut self, hook: impl Fn(&TaskFailure) + Send + Sync + 'static) -> Self {
        self.hooks.push_sync(hook);
        self
    }

    /// Adds an async function that is told of every task that is not a success. It runs beside the
    /// other tasks of the list, and a shutdown waits for it. See [`on_error`](Self::on_error).
    pub fn on_error_async<F>(
        mut self,
        hook: impl Fn(TaskFailure) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push_async(hook);
        self
    }

    /// How long a shutdown waits for connections and tasks. 30 seconds by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Builds the `Background`.
    ///
    /// # Errors
    ///
    /// Lists every problem at once: each name that two registered tasks share, each state that a
    /// registered task needs and that was not given, each type of which two states were given.
    pub fn build(self) -> Result<Background, BuildError> {
        let (states, twice) = self.states.finish();
        let tasks = registry::tasks();
        let mut problems: Vec<Problem> = duplicate_names(&tasks).collect();
        problems.extend(missing_states(&tasks, &states));
        problems.extend(twice.into_iter().map(Problem::StateTwice));
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        Ok(background(states, self.hooks, self.drain_timeout))
    }

    /// For a `Background` that needs no configuration, and whose tasks may lack a state until they
    /// run.
    pub(super) fn build_unchecked(self) -> Background {
        let (states, _) = self.states.finish();
        background(states, self.hooks, self.drain_timeout)
    }
}

fn background(states: States, hooks: Hooks, drain_timeout: Duration) -> Background {
    Background::from_runner(Arc::new(Runner::new(states, hooks, drain_timeout)))
}

fn duplicate_names(sorted: &[TaskInfo]) -> impl Iterator<Item = Problem> {
    sorted
        .windows(2)
        .filter(|pair| pair[0].name() == pair[1].name())
        .map(|pair| Problem::DuplicateName {
            first: pair[0],
            second: pair[1],
        })
}

fn missing_states(tasks: &[TaskInfo], states: &States) -> impl Iterator<Item = Problem> {
    tasks.iter().flat_map(|task| {
        let missing = task
            .states()
            .iter()
            .filter(|state| !states.contains(state.type_id()));
        missing.map(|state| {
            Problem::MissingState(MissingState {
                task: *task,
                parameter: state.parameter(),
                type_name: state.type_name(),
            })
        })
    })
}

impl fmt::Debug for BackgroundBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundBuilder")
            .field("drain_timeout", &self.drain_timeout)
            .finish_non_exhaustive()
    }
}
