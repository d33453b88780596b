#![doc = include_str!("docs/crate.md")]

mod after_response;
mod background;
mod collect;
mod contain;
pub mod guide;
mod one_line;
mod registry;
mod route;
mod run;
mod sync;
mod task;
pub mod testing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use self::after_response::{BackgroundLayer, BackgroundService, ResponseFuture, Serve};
pub use self::background::{
    Background, BackgroundBuilder, BuildError, InstallGlobalError, TaskHandle,
};
pub use self::collect::{
    BackgroundTasks, IntoTask, IntoTasks, MissingBackground, NoRequest, QueuedTask, Repeat,
    TaskExt, WithBackground, after_response,
};
pub use self::run::{
    FailureKind, Overflow, ShutdownReport, SkipReason, Stats, TaskFailure, UnfinishedTask,
};
pub use self::task::{
    Backoff, BoxError, IntoTaskResult, IntoText, MissingState, Parameter, Progress, ProgressStream,
    RequestInfo, State, StateDef, Task, TaskContext, TaskDef, TaskId, TaskInfo, TaskLimits,
    TaskResult, named, named_blocking,
};

#[doc = include_str!("docs/background_task.md")]
#[doc(inline)]
pub use bg_macros::background_task;
#[doc = include_str!("docs/routes.md")]
#[doc(inline)]
pub use bg_macros::routes;
#[doc = include_str!("docs/route.md")]
#[doc(inline)]
pub use bg_macros::{delete, get, head, options, patch, post, put, route};

/// Every block of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
