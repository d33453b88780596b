//! Tasks: their declaration and record, what a run is given and what it returns, and the boxed form in
//! which they are queued. Knows of a request only its [`RequestInfo`], for reports, and of the runner only
//! what [`TaskContext`] needs.

mod backoff;
mod blocking;
mod boxed;
mod context;
mod definition;
#[cfg(feature = "durable")]
mod durable_def;
mod failure;
mod id;
mod info;
mod into_task;
mod limits;
mod list;
#[allow(missing_docs, reason = "public for generated code only")]
pub(crate) mod macro_support;
mod one_off;
mod options;
#[cfg(feature = "durable")]
mod payload;
mod progress;
mod rate;
mod registry;
mod request_info;
mod response_info;
mod result;
mod retry;
mod skip_reason;
mod skipped;
mod state;
mod surroundings;
mod task_ref;
mod text;
mod tracked;
mod unrun;

pub use self::backoff::Backoff;
pub use self::blocking::blocking;
pub use self::boxed::BoxTask;
pub use self::context::TaskContext;
pub use self::definition::{Parameter, StateDef, TaskDef};
#[cfg(feature = "durable")]
pub use self::durable_def::DurableDef;
pub use self::failure::{FailureKind, TaskFailure};
pub use self::id::{ParseTaskIdError, TaskId};
pub use self::info::TaskInfo;
pub use self::into_task::{IntoTask, Retryable, TaskExt};
pub use self::limits::{OnFull, TaskLimits};
pub use self::one_off::{named, named_blocking};
pub use self::progress::{Progress, ProgressStream};
pub use self::rate::Rate;
pub use self::request_info::RequestInfo;
pub use self::response_info::ResponseInfo;
pub use self::result::{BoxError, IntoTaskResult, TaskResult};
pub use self::retry::{NoRetry, RetryAfter};
pub use self::skip_reason::SkipReason;
pub use self::state::{MissingState, State};
pub use self::surroundings::TaskRun;
pub use self::text::IntoText;

pub(crate) use self::blocking::ThreadShare;
pub(crate) use self::failure::{AbortReason, Chain, FailureParts, TimedOut};
pub(crate) use self::list::{Item, TaskList, for_each, visit};
pub(crate) use self::macro_support::render;
#[cfg(feature = "durable")]
pub(crate) use self::options::Baggage;
pub(crate) use self::options::When;
pub(crate) use self::registry::registered_tasks;
#[cfg(feature = "durable")]
pub(crate) use self::registry::{durable_by_name, durable_names};
pub(crate) use self::request_info::LazyInfo;
#[cfg(feature = "durable")]
pub(crate) use self::request_info::StoredRequest;
pub(crate) use self::retry::RetryAdvice;
pub(crate) use self::skipped::{KeptBack, Row, Skipped};
pub(crate) use self::state::{SourceOfStates, States, StatesBuilder, TwiceGiven};
#[cfg(feature = "durable")]
pub(crate) use self::surroundings::note_arounds;
pub(crate) use self::surroundings::{Arounds, are_there_arounds};
pub(crate) use self::task_ref::TaskRef;
pub(crate) use self::tracked::{Tracked, Tracker, Watcher};
pub(crate) use self::unrun::UnrunTask;

use std::fmt;

/// Work that is declared now and run later.
///
/// [`#[background_task]`](macro@crate::background_task) implements this trait for the struct it
/// makes. It can be implemented by hand as well; [`register!`](crate::register) then adds the task to
/// [`Background::tasks`](crate::Background::tasks) and makes it usable as part of a response:
///
/// ```standalone_crate
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use bg_runtime::{Background, StateDef, Task, TaskContext, TaskDef, TaskResult};
///
/// /// Adds to a counter that the application keeps.
/// #[derive(Debug)]
/// struct CountVisit {
///     by: u64,
/// }
///
/// impl Task for CountVisit {
///     const DEF: &'static TaskDef = &TaskDef::new("visits.count")
///         .docs("Adds to the visit counter.")
///         .states(&[StateDef::of::<Arc<AtomicU64>>("visits")]);
///
///     async fn run(self, cx: TaskContext) -> TaskResult {
///         let visits: Arc<AtomicU64> = cx.state("visits")?;
///         visits.fetch_add(self.by, Ordering::Relaxed);
///         Ok(())
///     }
///
///     fn arguments(&self) -> Option<impl std::fmt::Debug> {
///         Some(self)
///     }
/// }
///
/// bg_runtime::register!(CountVisit);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let visits = Arc::new(AtomicU64::new(0));
/// let background = Background::builder().state(visits.clone()).build()?;
/// background.spawn(CountVisit { by: 2 }).await?;
/// assert_eq!(visits.load(Ordering::Relaxed), 2);
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a background task",
    label = "not a background task",
    note = "put `#[background_task]` on the function, and pass the struct it makes, for example `SendEmail::new(..)` for `fn send_email`",
    note = "for one-off work, give the future a name: `named(\"mailer.ping\", async move {{ .. }})`"
)]
pub trait Task: Sized + 'static {
    /// The task's record: its name, file and line, and settings.
    const DEF: &'static TaskDef;

    /// Runs the task once.
    ///
    /// The future is dropped, at one of its await points, when the task's timeout passes, when
    /// [`TaskHandle::abort`](crate::TaskHandle::abort) is called, and when a shutdown has waited long
    /// enough. A panic is caught and reported like an error.
    fn run(self, cx: TaskContext) -> impl Future<Output = TaskResult> + Send;

    /// Returns a copy of the task, for another run after this one has failed: `Some(self.clone())` if
    /// the type is [`Clone`]. With `None` (the default) there is no other run.
    ///
    /// Called before every run that may be followed by another, because a run consumes the task.
    #[doc(alias = "again")]
    fn try_clone(&self) -> Option<Self> {
        None
    }

    /// Returns the key by which [`TaskDef::max_per_key`], [`TaskDef::max_pending_per_key`],
    /// [`TaskDef::max_unfinished_per_key`] and [`TaskDef::rate`] count, for example the id of the user
    /// whom the task is for. Of a task whose key is `None` (the default), the rate is that of its name,
    /// and the others limit nothing.
    ///
    /// Called when the task is queued. Logs and reports show the key.
    fn key(&self) -> Option<String> {
        None
    }

    /// Returns the arguments, for reports of failures. `None` (the default) if they cannot be shown.
    ///
    /// Called before the task runs, and only if there is a hook, a log or a test to see a report.
    fn arguments(&self) -> Option<impl fmt::Debug> {
        None::<()>
    }
}
