//! The names that generated code uses. Not part of the public API: anything here may change in any
//! release, together with bg-macros, which writes these names.

pub use axum;
pub use inventory;

pub use crate::__debug as debug;
pub use crate::__durable as durable;
pub use crate::__durable_record as durable_record;
pub use crate::__response_part as response_part;
pub use crate::__value as value;
pub use crate::request::attach;
pub use crate::route::{
    ByReference, ByValue, Method, Named, ParameterNames, RouteDef, RouteTasks, Seen,
    handler_future, is_distinct, method_router, mount, queue_route_tasks, used,
};
pub use crate::task::IntoTaskResult;
pub use crate::task::blocking;
pub use crate::task::macro_support::{
    CloneTask, DebugArgument, KeyArgument, OnceTask, OpaqueArgument, Probe, RetriedArgument,
    SECRET, Secret, arguments, copy, key, state,
};
#[cfg(feature = "durable")]
pub use crate::task::macro_support::{
    DurableArg, DurableTask, DurableText, Put, StoredArgument, Take, durable_def, shown_text,
    stored, stored_text, task_of, text_of, unique_text,
};
