//! Public for generated code only: how it asks of a value what its type can do, without knowing the
//! type. `crate::private` names these for the macros, and `bg-macros` writes those names.

mod arguments;
mod key;
mod state;
mod try_clone;

pub use self::arguments::{DebugArgument, OpaqueArgument, Probe, SECRET, arguments};
pub use self::key::{KeyArgument, key};
pub use self::state::state;
pub use self::try_clone::{CloneTask, OnceTask, RetriedArgument, copy};

pub(crate) use self::arguments::render;
