//! What a request collects: tasks, in lists, until the response is decided.

mod answer;
mod background_tasks;
mod conclude;
mod extract;
mod hold_back;
mod into_tasks;
mod request;
mod respond;
pub(crate) mod scope;

pub use self::background_tasks::BackgroundTasks;
pub use self::extract::MissingBackground;
pub use self::into_tasks::IntoTasks;
pub use self::respond::WithBackground;
pub use self::scope::{NoRequest, after_response};

pub(crate) use self::conclude::{DetachedHandler, Owner};
pub(crate) use self::request::{RequestTasks, Source};

pub(crate) mod private {
    pub use super::respond::attach;
}
