use std::any::{Any, TypeId, type_name};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::Location;

use super::info::TaskInfo;

/// A type that can be a task's state: any type that is `Clone + Send + Sync + 'static`.
///
/// Each run of a task gets a clone, so a state is usually a handle: a connection pool, an `Arc`, a
/// channel's sender.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of a task",
    label = "a state is `Clone + Send + Sync + 'static`",
    note = "wrap it: `Arc<T>` is `Clone`, `Mutex<T>` is `Sync`"
)]
pub trait State: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> State for T {}

/// The error of a task that needs a state which its [`Background`](crate::Background) was not given.
#[derive(Debug, Clone)]
pub struct MissingState {
    pub(crate) task: TaskInfo,
    pub(crate) parameter: &'static str,
    pub(crate) type_name: &'static str,
    pub(crate) source: SourceOfStates,
}

/// How a task that misses a state could have got it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SourceOfStates {
    /// From the builder of its `Background`.
    Builder,
    /// From a `Background` of the application: it ran on the global one, which has no states.
    Global,
    /// From the builder that its recorder was made without.
    Recorder,
}

impl MissingState {
    /// The task that needs the state.
    #[must_use]
    pub fn task(&self) -> &TaskInfo {
        &self.task
    }

    /// The parameter that receives the state.
    #[must_use]
    pub fn parameter(&self) -> &'static str {
        self.parameter
    }

    /// The state's type, as `std::any::type_name` shows it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_name
    }
}

impl fmt::Display for MissingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "task `{}` ({}:{}) needs a `{}` for its parameter `{}`: {}",
            self.task.name(),
            self.task.file(),
            self.task.line(),
            self.type_name,
            self.parameter,
            match self.source {
                SourceOfStates::Builder => "give it to `Background::builder()` with `.state(..)`",
                SourceOfStates::Global =>
                    "the task ran on `Background::global()`, which has no states; give the state to \
                     `Background::builder()` with `.state(..)`, and put that `Background` around the route: run \
                     the app with `background.serve(..)`, or add `.layer(background.layer())` to the router \
                     after its routes",
                SourceOfStates::Recorder =>
                    "make the recorder with `Recorder::from_builder(..)`, and give the state to that builder with \
                     `.state(..)`",
            },
        )
    }
}

impl Error for MissingState {}

/// The states of one `Background`, by type.
#[derive(Default)]
pub(crate) struct States(HashMap<TypeId, Box<dyn Any + Send + Sync>>);

impl States {
    pub(crate) fn get<T: State>(&self) -> Option<T> {
        self.0.get(&TypeId::of::<T>())?.downcast_ref::<T>().cloned()
    }

    pub(crate) fn contains(&self, type_id: TypeId) -> bool {
        self.0.contains_key(&type_id)
    }
}

/// States as they are given, with the types of which two were given.
#[derive(Default)]
pub(crate) struct StatesBuilder {
    states: States,
    given: HashMap<TypeId, &'static Location<'static>>,
    twice: Vec<TwiceGiven>,
}

#[derive(Debug, Clone)]
pub(crate) struct TwiceGiven {
    pub(crate) type_name: &'static str,
    pub(crate) first: &'static Location<'static>,
    pub(crate) second: &'static Location<'static>,
}

impl StatesBuilder {
    /// Adds a state. A second one of the same type is not kept; `build()` reports it.
    pub(crate) fn insert<T: State>(&mut self, state: T, location: &'static Location<'static>) {
        let id = TypeId::of::<T>();
        if let Some(first) = self.given.get(&id) {
            self.twice.push(TwiceGiven {
                type_name: type_name::<T>(),
                first,
                second: location,
            });
            return;
        }
        self.given.insert(id, location);
        self.states.0.insert(id, Box::new(state));
    }

    pub(crate) fn finish(self) -> (States, Vec<TwiceGiven>) {
        (self.states, self.twice)
    }
}
