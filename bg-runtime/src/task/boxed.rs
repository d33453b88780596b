use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use tracing::Span;
use tracing::field::Empty;

#[cfg(feature = "durable")]
use super::options::Baggage;
use super::options::Options;
use super::{
    Arounds, RequestInfo, Task, TaskContext, TaskId, TaskInfo, TaskResult, Tracker, UnrunTask,
    render,
};
use crate::contain::{Contained, contain};
use crate::log_target::{RUNTIME, TASK};
use crate::one_line::OneLine;

/// A task of any type, with its settings.
///
/// Returned by [`TaskExt`](crate::TaskExt), [`named`](crate::named) and
/// [`named_blocking`](crate::named_blocking).
#[doc(alias = "QueuedTask")]
#[must_use = "a task does nothing until it is queued or attached to a response"]
// Contained, because dropping a task drops the user's arguments.
pub struct BoxTask(Contained<Box<Job<dyn Runnable>>>);

/// A task with its settings, in one allocation, because every queued task costs one.
struct Job<W: ?Sized> {
    info: TaskInfo,
    id: TaskId,
    /// Rare, so boxed.
    options: Option<Box<Options>>,
    span: Span,
    /// The span in which the task was made, unless spans are disabled. Rare, so boxed.
    origin: Option<Box<Span>>,
    work: W,
}

impl BoxTask {
    pub(crate) fn new(info: TaskInfo, work: impl Runnable + 'static) -> Self {
        let id = new_id(&info);
        Self::with_id(id, info, work)
    }

    fn with_id(id: TaskId, info: TaskInfo, work: impl Runnable + 'static) -> Self {
        // Made here and not in `Runner::accept`, because here the request's own span is the current one.
        let span = tracing::info_span!(
            target: TASK,
            parent: None,
            "background_task",
            otel.name = info.name(),
            task.name = info.name(),
            task.id = %id,
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
        Self::new(
            TaskInfo::declared(T::DEF),
            Declared::new(task, T::try_clone),
        )
    }

    /// Creates a task that has been stored, under the id that it was stored with: its span shows it from the start.
    #[cfg(feature = "durable")]
    pub(super) fn stored<T: Task + Send>(id: TaskId, task: T) -> Self {
        let info = TaskInfo::declared(T::DEF);
        Self::with_id(id, info, Declared::new(task, T::try_clone))
    }

    /// Creates a task whose copies are clones, even if [`Task::try_clone`] gives none.
    pub(super) fn retryable<T: Task + Send + Clone>(task: T) -> Self {
        let try_clone = |task: &T| Some(task.clone());
        Self::new(TaskInfo::declared(T::DEF), Declared::new(task, try_clone))
    }

    /// Makes what stands for a stored task in reports whose arguments cannot be read.
    #[cfg(feature = "durable")]
    pub(crate) fn unreadable(id: TaskId, info: TaskInfo) -> Self {
        Self::with_id(id, info, UnreadableWork)
    }

    /// Returns this task as it comes back from a store: with what could be read of its arguments.
    #[cfg(feature = "durable")]
    pub(crate) fn stored_and_read(mut self, mut read: Self) -> Self {
        read.0.id = self.0.id;
        read.0.options = self.0.options.take();
        read.0.origin = self.0.origin.take();
        read.0.span = self.0.span.clone();
        read
    }

    /// Notes that a worker has taken the task from its store, where it has so many runs.
    #[cfg(feature = "durable")]
    pub(crate) fn claimed(mut self, runs: u32) -> Self {
        let options = self.options_mut();
        options.is_claimed = true;
        options.retries = Some(runs.saturating_sub(1));
        self
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

    #[cfg(feature = "durable")]
    pub(crate) fn baggage(&self) -> &Baggage {
        self.options().baggage()
    }

    /// Returns how many times it runs again after a run that failed.
    pub(crate) fn retries(&self) -> u32 {
        let asked = self.options().retries;
        asked.unwrap_or_else(|| self.info().retries())
    }

    /// Returns how many runs it has at most.
    pub(crate) fn runs(&self) -> u32 {
        self.retries().saturating_add(1)
    }

    /// Returns the span of a run. Where others may follow it has one of its own, because a field that is
    /// recorded again in the same span is shown twice by text logs.
    pub(crate) fn run_span(&self, attempt: u32) -> Span {
        if self.runs() > 1 {
            return tracing::info_span!(
                target: TASK,
                parent: self.span(),
                "background_task_run",
                task.attempt = attempt,
            );
        }
        self.span().record("task.attempt", attempt);
        self.span().clone()
    }

    /// Returns how long one run may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.options().timeout.or_else(|| self.info().timeout())
    }

    /// Returns how long after it was queued the task may still begin.
    pub(crate) fn expires(&self) -> Option<Duration> {
        self.options().expires.or_else(|| self.info().expires())
    }

    /// Records the request on the task's span.
    pub(crate) fn record_request(&self, request: &RequestInfo) {
        // `record` would look the fields up, and `to_string` allocate, for nothing.
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

    /// Takes the span in which the task was made. `Runner::prepare_span` calls this for every task that
    /// is queued: a task that kept its origin would keep the request's span open until it runs.
    pub(crate) fn take_origin(&mut self) -> Span {
        self.0
            .origin
            .take()
            .map_or_else(Span::none, |origin| *origin)
    }

    /// Takes the end that the task's handles watch, if it has any.
    pub(crate) fn take_tracker(&mut self) -> Option<Tracker> {
        self.0.options.as_mut()?.tracker.take()
    }

    /// Lets go of the span of a task that will not run. `None` for a one-off task, which is dropped: what it is
    /// made of can neither be shown nor stored.
    pub(crate) fn into_unrun(mut self) -> Option<UnrunTask> {
        self.info().def()?;
        self.0.span = Span::none();
        Some(UnrunTask::new(self))
    }

    pub(crate) fn span(&self) -> &Span {
        &self.0.span
    }

    /// Returns the task itself, if it is a `T`.
    pub(crate) fn downcast_ref<T: Task>(&self) -> Option<&T> {
        self.0.work.as_any().downcast_ref()
    }

    /// Takes the task itself out, if it is a `T`.
    pub(crate) fn downcast<T: Task>(mut self) -> Option<T> {
        let mut task = None::<T>;
        self.0.work.move_into(&mut task);
        task
    }

    #[cfg(feature = "durable")]
    pub(super) fn as_any(&self) -> &dyn Any {
        self.0.work.as_any()
    }

    /// Returns the type of the task itself.
    pub(crate) fn task_type(&self) -> TypeId {
        self.0.work.as_any().type_id()
    }

    /// Returns the arguments as text. `None` if they cannot be shown, for example because the user's
    /// `Debug` panics.
    pub(crate) fn arguments(&self) -> Option<String> {
        contain(|| self.0.work.arguments()).ok().flatten()
    }

    /// Returns the arguments for a report. `None` if there are none, or if they cannot be shown.
    pub(crate) fn shown_arguments(&self) -> Option<Box<str>> {
        let shown = self.arguments().filter(|shown| !shown.is_empty());
        shown.map(String::into_boxed_str)
    }

    /// Returns the key. `None` if there is none, or if the user's `Display` panics, in which case the
    /// task's per-key limits are not applied.
    pub(crate) fn key(&self) -> Option<String> {
        contain(|| self.0.work.key()).unwrap_or_else(|panic| {
            let task = self.info().name();
            tracing::error!(
                target: RUNTIME,
                {
                    task.name = task,
                    panic = %OneLine(panic),
                },
                "a task's key panicked in `Display`; its per-key limits are not applied"
            );
            None
        })
    }

    /// Makes a copy for another run. Returns `false` if the task gives none.
    ///
    /// Calls the user's `clone`, whose panics are the caller's to contain.
    pub(crate) fn copy(&mut self) -> bool {
        self.0.work.copy()
    }

    /// Runs the task once, and leaves the copy for another run, if one was made. Without a copy the task
    /// is gone: `AcceptedTask::keep_arguments` reads the arguments before.
    pub(crate) fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        let Job { options, work, .. } = &mut **self.0;
        match options
            .as_ref()
            .and_then(|options| options.surroundings.as_ref())
        {
            None => work.run(cx),
            Some(surroundings) => surroundings.surround(&cx, work.run_lazily(cx.clone())),
        }
    }

    /// Captures what surrounds the calling code, unless that was done before.
    pub(crate) fn capture(&mut self, arounds: &Arc<Arounds>) {
        let known = self.options().surroundings.as_ref();
        if !known.is_some_and(|known| known.are_of(arounds)) {
            let captured = arounds.capture(self.info().is_blocking());
            self.options_mut().surroundings = Some(Box::new(captured));
        }
    }
}

#[cfg(feature = "durable")]
fn new_id(info: &TaskInfo) -> TaskId {
    match info.durable() {
        Some(_) => TaskId::next_stored(),
        None => TaskId::next(),
    }
}

#[cfg(not(feature = "durable"))]
fn new_id(_: &TaskInfo) -> TaskId {
    TaskId::next()
}

impl fmt::Debug for BoxTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxTask")
            .field("task", &self.info().name())
            .field("id", &self.id())
            .field("options", &self.options())
            .finish_non_exhaustive()
    }
}

/// A task with its type erased.
pub(crate) trait Runnable: Send {
    fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult>;

    /// Like [`run`](Self::run), but all of the user's code is in the future: for what surrounds that. A task written
    /// by hand may do something before it returns its future.
    fn run_lazily(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        self.run(cx)
    }

    fn copy(&mut self) -> bool {
        false
    }

    fn arguments(&self) -> Option<String> {
        None
    }

    fn key(&self) -> Option<String> {
        None
    }

    /// Returns the [`Task`] behind this, or a value of another type if there is none.
    fn as_any(&self) -> &dyn Any {
        &()
    }

    /// Moves the [`Task`] behind this into `task`, if that is an `Option` of its type.
    fn move_into(&mut self, _task: &mut dyn Any) {}
}

/// A stored task whose arguments cannot be read. Never runs.
#[cfg(feature = "durable")]
struct UnreadableWork;

#[cfg(feature = "durable")]
impl Runnable for UnreadableWork {
    fn run(&mut self, _: TaskContext) -> BoxFuture<'static, TaskResult> {
        Box::pin(std::future::ready(Err(UNREADABLE.into())))
    }
}

#[cfg(feature = "durable")]
const UNREADABLE: &str = "its arguments cannot be read";

/// The panic message of a task that runs more often than it was copied.
pub(crate) const TAKEN: &str = "a run takes the task, and comes after a copy was made";

struct Declared<T> {
    /// `None` once a run has taken it without leaving a copy.
    task: Option<T>,
    /// For the next run. Rare, so boxed.
    copy: Option<Box<T>>,
    try_clone: fn(&T) -> Option<T>,
}

impl<T> Declared<T> {
    fn new(task: T, try_clone: fn(&T) -> Option<T>) -> Self {
        Self {
            task: Some(task),
            copy: None,
            try_clone,
        }
    }

    /// Takes the task out for a run, and leaves the copy for the next.
    fn take(&mut self) -> T {
        let copy = self.copy.take().map(|copy| *copy);
        std::mem::replace(&mut self.task, copy).expect(TAKEN)
    }
}

impl<T: Task + Send> Runnable for Declared<T> {
    fn run(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        let task = self.take();
        Box::pin(task.run(cx))
    }

    fn run_lazily(&mut self, cx: TaskContext) -> BoxFuture<'static, TaskResult> {
        let task = self.take();
        Box::pin(future::lazy(move |_| task.run(cx)).flatten())
    }

    fn copy(&mut self) -> bool {
        self.copy = self.task.as_ref().and_then(self.try_clone).map(Box::new);
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
