use std::fmt;

use futures_util::future::BoxFuture;
use tracing::Span;
use tracing::field::Empty;

use crate::contain::Contained;
use crate::task::{Task, TaskContext, TaskId, TaskInfo, TaskResult, render};

/// A task ready to be queued: what [`TaskExt`](crate::TaskExt), [`named`](crate::named) and
/// [`named_blocking`](crate::named_blocking) give.
#[must_use = "a task does nothing until it is queued or attached to a response"]
pub struct QueuedTask {
    work: Contained<Box<dyn ErasedTask>>,
    info: TaskInfo,
    id: TaskId,
    when: When,
    span: Span,
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
        );
        if !span.is_disabled() {
            span.follows_from(Span::current());
        }
        Self {
            work: Contained::new(Box::new(work)),
            info,
            id,
            when: When::Default,
            span,
        }
    }

    pub(crate) fn declared<T: Task + Send>(task: T) -> Self {
        Self::new(TaskInfo::declared(T::DEF), Declared(task))
    }

    pub(crate) fn info(&self) -> TaskInfo {
        self.info
    }

    pub(crate) fn id(&self) -> TaskId {
        self.id
    }

    pub(crate) fn when(&self) -> When {
        self.when
    }

    pub(crate) fn with_when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    pub(crate) fn arguments(&self) -> Option<String> {
        self.work.arguments()
    }

    pub(crate) fn run(self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        self.work.into_inner().run(cx)
    }
}

impl fmt::Debug for QueuedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedTask")
            .field("task", &self.info.name())
            .field("id", &self.id)
            .field("when", &self.when)
            .finish_non_exhaustive()
    }
}

/// A task of any type.
pub(crate) trait ErasedTask: Send {
    fn run(self: Box<Self>, cx: TaskContext) -> BoxFuture<'static, TaskResult>;

    fn arguments(&self) -> Option<String>;
}

struct Declared<T>(T);

impl<T: Task + Send> ErasedTask for Declared<T> {
    fn run(self: Box<Self>, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        Box::pin(self.0.run(cx))
    }

    fn arguments(&self) -> Option<String> {
        self.0.arguments().map(|arguments| render(&arguments))
    }
}
