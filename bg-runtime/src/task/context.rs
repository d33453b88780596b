use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{MatchedPath, OriginalUri};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tokio_util::sync::CancellationToken;

use super::info::TaskInfo;
use super::progress::Progress;
use super::state::{MissingState, State};
use crate::one_line::OneLine;
use crate::run::{Place, Runner};

/// Identifies one queued task within this process. Displays as a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(NonZeroU64::new(id).expect("2^64 tasks in one process"))
    }

    pub(crate) fn get(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({})", self.0)
    }
}

/// What a task knows about the run it is in (`#[context]`).
#[derive(Clone)]
pub struct TaskContext {
    pub(crate) id: TaskId,
    pub(crate) task: TaskInfo,
    pub(crate) attempt: u32,
    pub(crate) request: Option<Arc<RequestInfo>>,
    pub(crate) cancelled: CancellationToken,
    pub(crate) place: Place,
    pub(crate) runner: Arc<Runner>,
}

impl TaskContext {
    /// The task's id, which logs and reports show too.
    #[must_use]
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// The number of this run, from 1. More than 1 where an earlier run failed, and the task has
    /// `retries`.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request that queued the task; `None` for tasks that were spawned.
    #[must_use]
    pub fn request(&self) -> Option<&RequestInfo> {
        self.request.as_deref()
    }

    /// Completes when the task should stop: a shutdown has waited for its `drain_timeout`, and will
    /// abort the task shortly. A synchronous task is also told of its timeout, and of
    /// [`TaskHandle::abort`](crate::TaskHandle::abort).
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether [`cancelled`](Self::cancelled) has completed. For loops in synchronous tasks.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
    }

    /// Says how far the task has come: `done` of `total`, in a unit of its own, and what it is at.
    ///
    /// Whoever holds the task's handle sees it in [`TaskHandle::progress`](crate::TaskHandle::progress);
    /// it is an event of level `DEBUG` in the task's span, too. Never waits: only the latest word is
    /// kept.
    ///
    /// ```
    /// use bg_runtime::{TaskContext, background_task};
    ///
    /// #[background_task]
    /// async fn import(rows: Vec<String>, #[context] cx: TaskContext) {
    ///     let total = rows.len() as u64;
    ///     for (done, row) in (0..).zip(rows) {
    ///         cx.progress(done, total, format!("importing {row}"));
    ///         // ..
    ///     }
    ///     cx.progress(total, total, "imported");
    /// }
    /// ```
    pub fn progress(&self, done: u64, total: u64, message: impl Into<String>) {
        let progress = Progress::new(done, total, message.into());
        tracing::debug!(
            task.name = self.task.name(),
            done,
            total,
            message = %OneLine(progress.message()),
        );
        self.runner.set_progress(self.place, progress);
    }

    /// A clone of the state of type `T` that was given to `Background::builder().state(..)`.
    ///
    /// `parameter` is the name that the error shows for it.
    ///
    /// # Errors
    ///
    /// When no such state was given. `build()` finds this out beforehand for every registered task
    /// that lists its states in [`TaskDef::states`](crate::TaskDef::states).
    pub fn state<T: State>(&self, parameter: &'static str) -> Result<T, MissingState> {
        self.runner.states().get().ok_or_else(|| MissingState {
            task: self.task,
            parameter,
            type_name: std::any::type_name::<T>(),
        })
    }
}

impl fmt::Debug for TaskContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("id", &self.id)
            .field("task", &self.task.name())
            .field("attempt", &self.attempt)
            .field("request", &self.request)
            .field("cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}

/// A name that has been parsed, because it is looked for in every request.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The request that queued a task.
#[derive(Clone)]
pub struct RequestInfo {
    method: Method,
    uri: Uri,
    route: Option<MatchedPath>,
    request_id: Option<HeaderValue>,
}

impl RequestInfo {
    // Everything kept here is a reference count away, so that a request without tasks pays next to
    // nothing.
    pub(crate) fn new(
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        extensions: &Extensions,
    ) -> Self {
        let original = extensions.get::<OriginalUri>().map(|original| &original.0);
        let mut info = Self {
            method: method.clone(),
            uri: original.unwrap_or(uri).clone(),
            route: None,
            request_id: None,
        };
        info.complete(headers, extensions);
        info
    }

    /// Adds what has become known further in: the router knows the route, a middleware sets the
    /// request id. Whether there was any of it.
    pub(crate) fn complete(&mut self, headers: &HeaderMap, extensions: &Extensions) -> bool {
        let known = (self.route.is_some(), self.request_id.is_some());
        if self.route.is_none() {
            self.route = extensions.get::<MatchedPath>().cloned();
        }
        if self.request_id.is_none() {
            self.request_id = headers.get(&REQUEST_ID).cloned();
        }
        known != (self.route.is_some(), self.request_id.is_some())
    }

    /// The request's method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// The request's path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The route that matched, as it was declared: `/users/{id}`.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }

    /// The value of the request's `x-request-id` header, where it is text.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref()?.to_str().ok()
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", OneLine(&self.method), OneLine(self.path()))
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestInfo")
            .field("method", &self.method)
            .field("path", &self.path())
            .field("route", &self.route())
            .field("request_id", &self.request_id())
            .finish()
    }
}
