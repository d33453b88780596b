//! Public for generated code only, which calls these on values whose types it does not know.
//!
//! `crate::private` exports the names, and `bg-macros/src/task/expand/implementation.rs` writes them.
//! Functions that it calls with the parameter's type, as in `key::<u64>(&self.id)`, have no other
//! generic parameter.

mod arguments;
#[cfg(feature = "durable")]
mod by_text;
#[cfg(feature = "durable")]
mod codec;
mod durable;
mod key;
mod state;
mod try_clone;

pub use self::arguments::{DebugArgument, OpaqueArgument, Probe, SECRET, Secret, arguments};
#[cfg(feature = "durable")]
pub use self::by_text::{shown_text, task_of, text_of, unique_text};
#[cfg(feature = "durable")]
pub use self::codec::{
    DurableArg, DurableTask, DurableText, Put, StoredArgument, Take, stored, stored_text,
};
#[cfg(feature = "durable")]
pub use self::durable::durable_def;
pub use self::key::{KeyArgument, key};
pub use self::state::state;
pub use self::try_clone::{CloneTask, OnceTask, RetriedArgument, copy};

pub(crate) use self::arguments::render;
#[cfg(feature = "durable")]
pub(super) use self::codec::{put, put_chosen, take};
