#![doc = include_str!("docs/crate.md")]

mod background;
#[cfg(feature = "durable")]
mod clock;
mod contain;
#[cfg(feature = "durable")]
pub mod durable;
pub mod guide;
#[cfg(all(test, shuttle))]
mod interleavings;
mod log_target;
mod one_line;
mod request;
mod route;
mod run;
mod scope;
#[cfg(feature = "durable")]
mod secret_key;
mod service;
mod sync;
mod task;
pub mod testing;

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;

pub use self::background::{Background, BackgroundBuilder, BuildError, InstallGlobalError};
pub use self::request::{
    BackgroundIo, BackgroundTasks, IntoTasks, MissingBackground, NoRequest, Stopping,
    WithBackground, after_response,
};
pub use self::run::{
    LiveTask, Overflow, ShutdownReport, Stats, TaskHandle, TaskState, UnfinishedTask,
};
#[cfg(feature = "durable")]
pub use self::service::Work;
pub use self::service::{
    BackgroundLayer, BackgroundService, DetachedLayer, DetachedService, ResponseFuture, Serve,
};
pub use self::task::{
    Backoff, BoxError, BoxTask, FailureKind, IntoTask, IntoTaskResult, IntoText, MissingState,
    NoRetry, OnFull, Parameter, ParseTaskIdError, Progress, ProgressStream, Rate, RequestInfo,
    ResponseInfo, RetryAfter, Retryable, SkipReason, State, StateDef, Task, TaskContext, TaskDef,
    TaskExt, TaskFailure, TaskId, TaskInfo, TaskLimits, TaskResult, TaskRun, named, named_blocking,
};

#[cfg(feature = "durable")]
pub use self::task::DurableDef;

#[doc = include_str!("docs/background_task.md")]
#[doc(inline)]
pub use bg_macros::background_task;
#[doc = include_str!("docs/method_router.md")]
#[doc(inline)]
pub use bg_macros::method_router;
#[doc = include_str!("docs/routes.md")]
#[doc(inline)]
pub use bg_macros::routes;
#[doc = include_str!("docs/route.md")]
#[doc(inline)]
pub use bg_macros::{delete, get, head, options, patch, post, put, route};

/// The release of sqlx whose pools, options and transactions [`durable`] takes. With the features `sqlite` and
/// `postgres`.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use sqlx;

/// Makes every code block of the README a test. One of them stores tasks in a file.
#[cfg(all(doctest, feature = "sqlite"))]
#[doc = include_str!("../../README.md")]
struct Readme;
