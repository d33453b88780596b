use std::any::{Any, TypeId};
use std::fmt;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tracing::Span;
use tracing::field::Empty;

use super::options::Options;
use super::{RequestInfo, Task, TaskContext, TaskId, TaskInfo, TaskResult, render};
use crate::contain::{Contained, contain};
use crate::one_line::OneLine;

/// A task ready to be queued: what [`TaskExt`](crate::TaskExt), [`named`](crate::named) and
/// [`named_blocking`](crate::named_blocking) give.
#[must_use = "a task does nothing until it is queued or attached to a response"]
pub struct QueuedTask(Contained<Box<Job<dyn Work>>>);

/// In one allocation, because there is one for each task of each request.
struct Job<W: ?Sized> {
    info: TaskInfo,
    id: TaskId,
    /// Boxed, like what follows, because few tasks have them, and all would have to carry the space.
    options: Option<Box<Options>>,
    span: Span,
    /// The span in which the task was made, where anybody listens.
    origin: Option<Box<Span>>,
    work: W,
}

impl QueuedTask {
    pub(crate) fn new(info: TaskInfo, work: impl Work + 'static) -> Self {
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
        let origin = (!span.is_disabled()).then(|| Box::new(Span::current()));
        if let Some(origin) = &origin {
            span.follows_from(origin.id());
        }
        Self(Contained::new(Box::new(Job {
            info,
            id,
            options: None,
            span,
            origin,
            work,
        })))
    }

    pub(crate) fn declared<T: Task + Send>(task: T) -> Self {
        Self::new(TaskInfo::declared(T::DEF), Declared::new(task, T::again))
    }

    /// A task whose copies are its clones, whatever [`Task::again`] says.
    pub(super) fn repeated<T: Task + Send + Clone>(task: T) -> Self {
        let again = |task: &T| Some(task.clone());
        Self::new(TaskInfo::declared(T::DEF), Declared::new(task, again))
    }

    pub(crate) fn info(&self) -> TaskInfo {
        self.0.info
    }

    pub(crate) fn id(&self) -> TaskId {
        self.0.id
    }

    pub(crate) fn options(&self) -> &Options {
        self.0.options.as_deref().unwrap_or(&Options::NONE)
    }

    pub(crate) fn options_mut(&mut self) -> &mut Options {
        self.0
            .options
            .get_or_insert_with(|| Box::new(Options::NONE))
    }

    /// How many times it runs again after a run that failed.
    pub(crate) fn retries(&self) -> u32 {
        let asked = self.options().retries;
        asked.unwrap_or_else(|| self.info().retries())
    }

    /// How long one run may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.options().timeout.or_else(|| self.info().timeout())
    }

    /// Records on the span which request the task is of.
    pub(crate) fn record_request(&self, request: &RequestInfo) {
        // Where nobody listens, not even the names of the fields are looked up.
        if self.span().is_disabled() {
            return;
        }
        if let Some(route) = request.route() {
            self.span().record("http.route", route);
        }
        if let Some(id) = request.request_id() {
            self.span().record("request_id", OneLine(id).to_string());
        }
    }

    /// The span in which the task was made. Given away once, so that it is not kept open.
    pub(crate) fn take_origin(&mut self) -> Span {
        self.0
            .origin
            .take()
            .map_or_else(Span::none, |origin| *origin)
    }

    pub(crate) fn span(&self) -> &Span {
        &self.0.span
    }

    /// The task itself, if it is a `T`.
    pub(crate) fn downcast_ref<T: Task>(&self) -> Option<&T> {
        self.0.work.as_any().downcast_ref()
    }

    /// The task itself, if it is a `T`.
    pub(crate) fn downcast<T: Task>(mut self) -> Option<T> {
        let mut task = None::<T>;
        self.0.work.move_into(&mut task);
        task
    }

    /// The type of the task itself.
    pub(crate) fn task_type(&self) -> TypeId {
        self.0.work.as_any().type_id()
    }

    /// The user's `Debug` may panic; then the arguments are not shown.
    pub(crate) fn arguments(&self) -> Option<String> {
        contain(|| self.0.work.arguments()).ok().flatten()
    }

    /// The arguments, if there are any and all of them can be shown.
    pub(crate) fn shown_arguments(&self) -> Option<Box<str>> {
        let shown = self.arguments().filter(|shown| !shown.is_empty());
        shown.map(String::into_boxed_str)
    }

    /// The user's `Display` may panic; then the limits of the key do not apply.
    pub(crate) fn key(&self) -> Option<String> {
        contain(|| self.0.work.key()).unwrap_or_else(|panic| {
            let task = self.info().name();
            tracing::error!(
                task.name = task,
                panic = %OneLine(panic),
                "a task's key panicked in `Display`; its per-key limits are not applied"
            );
            None
        })
    }

    /// Makes a copy for another run. `false`: there is none.
    pub(crate) fn copy(&mut self) -> bool {
        self.0.work.copy()
    }

    /// Runs the task once, and leaves the copy for another run, if one was made.
    pub(crate) fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        self.0.work.run(cx)
    }
}

impl fmt::Debug for QueuedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedTask")
            .field("task", &self.info().name())
            .field("id", &self.id())
            .field("options", &self.options())
            .finish_non_exhaustive()
    }
}

/// What a task of any type can do.
pub(crate) trait Work: Send {
    fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult>;

    fn copy(&mut self) -> bool {
        false
    }

    fn arguments(&self) -> Option<String> {
        None
    }

    fn key(&self) -> Option<String> {
        None
    }

    /// The [`Task`] that this is made of; for others, something else.
    fn as_any(&self) -> &dyn Any {
        &()
    }

    /// Moves the [`Task`] that this is made of into an `Option` of its type.
    fn move_into(&mut self, _task: &mut dyn Any) {}
}

/// What is said of work that is run more often than it was copied.
pub(crate) const TAKEN: &str = "a run takes the task, and comes after a copy was made";

struct Declared<T> {
    task: Option<T>,
    /// For the next run. Boxed, because few tasks have one, and all would have to carry the space for it.
    copy: Option<Box<T>>,
    again: fn(&T) -> Option<T>,
}

impl<T> Declared<T> {
    fn new(task: T, again: fn(&T) -> Option<T>) -> Self {
        Self {
            task: Some(task),
            copy: None,
            again,
        }
    }
}

impl<T: Task + Send> Work for Declared<T> {
    fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        let copy = self.copy.take().map(|copy| *copy);
        let task = std::mem::replace(&mut self.task, copy);
        Box::pin(task.expect(TAKEN).run(cx))
    }

    fn copy(&mut self) -> bool {
        self.copy = self.task.as_ref().and_then(self.again).map(Box::new);
        self.copy.is_some()
    }

    fn arguments(&self) -> Option<String> {
        let arguments = self.task.as_ref()?.arguments()?;
        Some(render(&arguments))
    }

    fn key(&self) -> Option<String> {
        self.task.as_ref()?.key()
    }

    fn as_any(&self) -> &dyn Any {
        match &self.task {
            Some(task) => task,
            None => &(),
        }
    }

    fn move_into(&mut self, task: &mut dyn Any) {
        if let Some(task) = task.downcast_mut::<Option<T>>() {
            *task = self.task.take();
        }
    }
}
