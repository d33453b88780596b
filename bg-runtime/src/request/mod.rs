//! One request's tasks, from the first that is queued to the moment at which they may run.
//!
//! ```text
//! extract.rs, after_response.rs, response_parts.rs     where tasks come from
//!                     │ into_tasks.rs, background_tasks.rs
//!                     v
//!  queue.rs ──> end.rs, due.rs ──> sent/ ──> run
//!  collects     the response        it has left
//! ```
//!
//! place.rs finds the request that takes a task, guard.rs makes sure that every request ends, detached.rs has
//! handlers run on without a client, and backpressure.rs holds a response back until the durable ones of its tasks are
//! stored (outbox.rs), and while there is no room for the others.

mod after_response;
mod background_tasks;
mod backpressure;
mod detached;
mod due;
mod end;
mod extract;
mod guard;
mod into_tasks;
#[cfg(feature = "durable")]
mod outbox;
mod place;
mod queue;
mod response_parts;
mod sent;
mod stopping;

pub use self::after_response::{NoRequest, after_response};
pub use self::background_tasks::BackgroundTasks;
pub use self::extract::MissingBackground;
pub use self::into_tasks::IntoTasks;
pub use self::response_parts::{WithBackground, attach};
pub use self::sent::BackgroundIo;
pub use self::stopping::Stopping;

pub(crate) use self::after_response::current;
pub(crate) use self::detached::DetachedHandler;
pub(crate) use self::guard::RequestGuard;
pub(crate) use self::place::HandlerRef;
pub(crate) use self::queue::{RequestTasks, Source};
pub(crate) use self::sent::Connection;
