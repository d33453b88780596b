use std::any::Any;
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::Span;
use tracing::field::Empty;

use crate::contain::{Contained, contain};
use crate::task::{RequestInfo, Task, TaskContext, TaskId, TaskInfo, TaskResult, render};

/// A task ready to be queued: what [`TaskExt`](crate::TaskExt), [`named`](crate::named) and
/// [`named_blocking`](crate::named_blocking) give.
#[must_use = "a task does nothing until it is queued or attached to a response"]
pub struct QueuedTask {
    work: Contained<Box<dyn ErasedTask>>,
    info: TaskInfo,
    id: TaskId,
    options: Options,
    span: Span,
    /// The span in which the task was made.
    origin: Span,
}

/// What [`TaskExt`](crate::TaskExt) has set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) when: When,
    pub(crate) delay: Duration,
    /// Instead of the declared one.
    pub(crate) timeout: Option<Duration>,
    /// Instead of the declared number.
    pub(crate) retries: Option<u32>,
}

/// Which responses a task runs after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Where the task was attached decides.
    Default,
    Always,
    OnErrorResponse,
}

impl QueuedTask {
    pub(crate) fn new(info: TaskInfo, work: impl ErasedTask + 'static) -> Self {
        let id = TaskId::next();
        // Made here, because this is where the request's own span is the current one.
        let span = tracing::info_span!(
            parent: None,
            "background_task",
            task.name = info.name(),
            task.id = id.get(),
            task.attempt = Empty,
            http.route = Empty,
            request_id = Empty,
        );
        let origin = if span.is_disabled() {
            Span::none()
        } else {
            Span::current()
        };
        span.follows_from(&origin);
        Self {
            work: Contained::new(Box::new(work)),
            info,
            id,
            options: Options {
                when: When::Default,
                delay: Duration::ZERO,
                timeout: None,
                retries: None,
            },
            span,
            origin,
        }
    }

    pub(crate) fn declared<T: Task + Send>(task: T) -> Self {
        let again = T::again;
        Self::new(TaskInfo::declared(T::DEF), Declared { task, again })
    }

    /// A task whose copies are its clones, whatever [`Task::again`] says.
    pub(super) fn repeated<T: Task + Send + Clone>(task: T) -> Self {
        let again = |task: &T| Some(task.clone());
        Self::new(TaskInfo::declared(T::DEF), Declared { task, again })
    }

    pub(crate) fn info(&self) -> TaskInfo {
        self.info
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn options(&self) -> Options {
        self.options
    }

    pub(crate) fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Records on the span which request the task is of.
    pub(crate) fn record_request(&self, request: &RequestInfo) {
        // Where nobody listens, not even the names of the fields are looked up.
        if self.span.is_disabled() {
            return;
        }
        if let Some(route) = request.route() {
            self.span.record("http.route", route);
        }
        if let Some(id) = request.request_id() {
            self.span.record("request_id", id);
        }
    }

    /// The span in which the task was made. Given away once, so that it is not kept open.
    pub(crate) fn take_origin(&mut self) -> Span {
        std::mem::replace(&mut self.origin, Span::none())
    }

    /// The task itself, if it is a `T`.
    pub(crate) fn downcast_ref<T: Task>(&self) -> Option<&T> {
        self.work.as_any().downcast_ref()
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn arguments(&self) -> Option<String> {
        self.work.arguments()
    }

    /// The user's `Display` may panic; then the limits of the key do not apply.
    pub(crate) fn key(&self) -> Option<String> {
        contain(|| self.work.key()).unwrap_or_else(|panic| {
            tracing::error!(task.name = self.info.name(), %panic, "to show a task's key panicked");
            None
        })
    }

    /// The work, and the span it is done in.
    pub(crate) fn into_parts(self) -> (Contained<Box<dyn ErasedTask>>, Span) {
        (self.work, self.span)
    }
}

impl fmt::Debug for QueuedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedTask")
            .field("task", &self.info.name())
            .field("id", &self.id)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A task of any type.
pub(crate) trait ErasedTask: Send {
    fn run(self: Box<Self>, cx: TaskContext) -> BoxFuture<'static, TaskResult>;

    fn arguments(&self) -> Option<String>;

    /// The same task, for another run.
    fn again(&self) -> Option<Box<dyn ErasedTask>>;

    fn key(&self) -> Option<String>;

    /// The [`Task`] that this is made of; for others, something else.
    fn as_any(&self) -> &dyn Any;
}

struct Declared<T> {
    task: T,
    again: fn(&T) -> Option<T>,
}

impl<T: Task + Send> ErasedTask for Declared<T> {
    fn run(self: Box<Self>, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        Box::pin(self.task.run(cx))
    }

    fn arguments(&self) -> Option<String> {
        self.task.arguments().map(|arguments| render(&arguments))
    }

    fn again(&self) -> Option<Box<dyn ErasedTask>> {
        let again = self.again;
        let task = again(&self.task)?;
        Some(Box::new(Self { task, again }))
    }

    fn key(&self) -> Option<String> {
        self.task.key()
    }

    fn as_any(&self) -> &dyn Any {
        &self.task
    }
}
