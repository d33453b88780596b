use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::task::{MissingState, TaskInfo, TwiceGiven};

/// The error of [`BackgroundBuilder::build`](crate::BackgroundBuilder::build).
///
/// Displays every problem: one as it is, several as a list with one per line.
#[derive(Clone)]
pub struct BuildError {
    problems: Vec<Problem>,
}

#[derive(Debug, Clone)]
pub(super) enum Problem {
    DuplicateName {
        first: TaskInfo,
        second: TaskInfo,
    },
    /// One task has, or had, an old name of another.
    #[cfg(feature = "durable")]
    OldNameTaken {
        name: &'static str,
        old: TaskInfo,
        other: TaskInfo,
    },
    MissingState(MissingState),
    StateTwice(TwiceGiven),
    Zero {
        setting: &'static str,
    },
    ZeroTimeout,
    Threads(Arc<io::Error>),
    /// A durable task, and no store for it.
    #[cfg(feature = "durable")]
    NoStore(TaskInfo),
    #[cfg(feature = "durable")]
    StoreTwice,
    #[cfg(feature = "durable")]
    NoSecretKey {
        task: TaskInfo,
        parameter: &'static str,
    },
    /// What the store is told cannot be.
    #[cfg(feature = "durable")]
    Store(String),
}

impl BuildError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Returns each problem as text.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(ToString::to_string)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [problem] => problem.fmt(f),
            problems => {
                write!(f, "{} problems with the background tasks:", problems.len())?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n- {problem}"))
            }
        }
    }
}

/// Like `Display`, because a `main` that returns the error prints its `Debug`.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for BuildError {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName { first, second } => write!(
                f,
                "two background tasks are called `{}`: {}:{} and {}:{}; give one of them another `name`",
                first.name(),
                first.file(),
                first.line(),
                second.file(),
                second.line(),
            ),
            #[cfg(feature = "durable")]
            Self::OldNameTaken { name, old, other } => write!(
                f,
                "two background tasks would run what is stored as `{name}`: `{}` at {}:{}, which has it in `was`, and `{}` \
                 at {}:{}; leave it to one of them",
                old.name(),
                old.file(),
                old.line(),
                other.name(),
                other.file(),
                other.line(),
            ),
            Self::MissingState(missing) => missing.fmt(f),
            Self::StateTwice(TwiceGiven {
                type_name,
                first,
                second,
            }) => write!(
                f,
                "two states of type `{type_name}` were given, at {first} and at {second}: tasks are given a state by \
                 its type, so wrap one of them in a type of its own"
            ),
            Self::Zero { setting } => write!(
                f,
                "`{setting}` is zero, so no task would ever run: set it to at least 1, or leave it out"
            ),
            Self::ZeroTimeout => f.write_str(
                "`default_timeout` is zero, so every run that waits even once would fail: set it to more, or leave it out"
            ),
            #[cfg(feature = "durable")]
            Self::NoStore(task) => write!(
                f,
                "{task} is durable, and there is no store for it: give one with \
                 `Background::builder().durable(Sqlite::file(\"tasks.db\"))`"
            ),
            #[cfg(feature = "durable")]
            Self::StoreTwice => f.write_str(
                "two stores were given: a `Background` has one, so call `durable(..)` once",
            ),
            #[cfg(feature = "durable")]
            Self::NoSecretKey { task, parameter } => write!(
                f,
                "the parameter `{parameter}` of {task} is secret, and there is no key to store it with: give one with \
                 `secret_keys([..])` of the store, or write `#[secret(stored_in_clear)]`"
            ),
            #[cfg(feature = "durable")]
            Self::Store(problem) => f.write_str(problem),
            Self::Threads(error) => {
                write!(f, "the threads of `isolated` could not be started: {error}")
            }
        }
    }
}
