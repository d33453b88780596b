//! What a request collects: tasks, in lists, until the response is decided.

mod answer;
mod background_tasks;
mod conclude;
mod extract;
mod hold_back;
mod into_tasks;
mod queued;
mod request;
mod respond;
pub(crate) mod scope;

pub use self::background_tasks::BackgroundTasks;
pub use self::extract::MissingBackground;
pub use self::into_tasks::{IntoTask, IntoTasks, Repeat, TaskExt};
pub use self::queued::QueuedTask;
pub use self::respond::WithBackground;
pub use self::scope::{NoRequest, after_response};

pub(crate) use self::conclude::{DetachedHandler, Owner};
pub(crate) use self::queued::{TAKEN, Work};
pub(crate) use self::request::{RequestTasks, Source};

pub(crate) mod private {
    pub use super::respond::attach;
}
