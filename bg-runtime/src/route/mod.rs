//! Routes declared with an attribute.

#![allow(missing_docs, reason = "public for generated code only")]

mod definition;
mod handler;
mod names;
mod parameters;

pub(crate) use self::definition::warn_of_unmounted;
pub use self::definition::{Method, RouteDef, is_distinct};
pub use self::handler::{
    RouteTasks, handler_future, method_router, mount, queue_route_tasks, used,
};
pub use self::names::{ByReference, ByValue, Seen};
pub use self::parameters::{Named, ParameterNames};
