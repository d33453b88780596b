//! What surrounds the code that queues a task, and is to surround the task's runs: a task-local, a span, a hub.
//!
//! ```text
//! where the task is queued:  Arounds::capture ──> Surroundings, among the task's options
//! in each of its runs:       Surroundings::surround(run), and on_thread(work) for a synchronous task
//! ```

use std::cell::Cell;
use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::task_local;

use super::context::TaskContext;
use super::result::TaskResult;
use crate::contain::{Panicked, contain};

task_local! {
    static ON_THREAD: OnThread;
}

/// One run of a task, for the function given to
/// [`BackgroundBuilder::around`](crate::BackgroundBuilder::around), which surrounds it: a future that runs the
/// task when it is polled.
#[must_use = "a run does nothing unless it is polled"]
pub struct TaskRun(BoxFuture<'static, TaskResult>);

impl Future for TaskRun {
    type Output = TaskResult;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TaskResult> {
        self.0.poll_unpin(cx)
    }
}

impl fmt::Debug for TaskRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskRun").finish_non_exhaustive()
    }
}

/// The work of one synchronous task, as the function given to `around_blocking` calls it.
type BlockingRun = Box<dyn FnOnce() -> TaskResult + Send>;

/// Whether any `Background` of the process has had an `around`.
static ARE_THERE_ANY: AtomicBool = AtomicBool::new(false);

/// Returns whether there may be something to capture, for code that does not know of which `Background` it is.
#[inline]
pub(crate) fn are_there_arounds() -> bool {
    ARE_THERE_ANY.load(Ordering::Relaxed)
}

thread_local! {
    /// The user's `capture` is being called.
    static IS_CAPTURING: Cell<bool> = const { Cell::new(false) };
}

/// What one `Background` captures for each task, from the outermost.
#[derive(Default)]
pub(crate) struct Arounds {
    futures: Vec<Box<dyn Capture<dyn AroundFuture>>>,
    threads: Vec<Box<dyn Capture<dyn AroundThread>>>,
}

/// Captures what surrounds the calling code.
trait Capture<T: ?Sized>: Send + Sync {
    fn capture(&self) -> Arc<T>;
}

/// A captured value, with the function that is given it.
trait AroundFuture: Send + Sync {
    fn surround(&self, cx: TaskContext, run: TaskRun) -> BoxFuture<'static, TaskResult>;
}

/// The same for the thread of a synchronous task.
trait AroundThread: Send + Sync {
    fn surround(&self, cx: TaskContext, run: BlockingRun) -> TaskResult;
}

struct Pair<C, A> {
    capture: C,
    around: Arc<A>,
}

struct Captured<V, A> {
    value: V,
    around: Arc<A>,
}

impl Arounds {
    pub(crate) fn push<V, F>(
        &mut self,
        capture: impl Fn() -> V + Send + Sync + 'static,
        around: impl Fn(V, TaskContext, TaskRun) -> F + Send + Sync + 'static,
    ) where
        V: Clone + Send + Sync + 'static,
        F: Future<Output = TaskResult> + Send + 'static,
    {
        let around = Arc::new(move |value, cx, run| around(value, cx, run).boxed());
        self.futures.push(Box::new(Pair { capture, around }));
    }

    pub(crate) fn push_blocking<V>(
        &mut self,
        capture: impl Fn() -> V + Send + Sync + 'static,
        around: impl Fn(V, TaskContext, BlockingRun) -> TaskResult + Send + Sync + 'static,
    ) where
        V: Clone + Send + Sync + 'static,
    {
        let around = Arc::new(around);
        self.threads.push(Box::new(Pair { capture, around }));
    }

    /// Shares them among the tasks. `None` if there are none.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        if self.futures.is_empty() && self.threads.is_empty() {
            return None;
        }
        ARE_THERE_ANY.store(true, Ordering::Relaxed);
        Some(Arc::new(self))
    }

    /// Captures what surrounds the calling code, for a task that is synchronous or not.
    pub(crate) fn capture(self: &Arc<Self>, is_blocking: bool) -> Surroundings {
        let threads = if is_blocking { &self.threads[..] } else { &[] };
        Surroundings {
            of: self.clone(),
            futures: capture_all(&self.futures),
            threads: capture_all(threads),
        }
    }
}

/// Contained, because `capture` is the user's. A task whose surroundings are not known fails rather than run
/// without them: they may be what keeps one tenant's data from another.
fn capture_all<T: ?Sized>(
    captures: &[Box<dyn Capture<T>>],
) -> Result<Arc<[Arc<T>]>, Arc<Panicked>> {
    if IS_CAPTURING.replace(true) {
        // It would call itself for ever.
        let queued = Panicked::said("`capture` itself has queued it");
        return Err(Arc::new(queued));
    }
    let captured = contain(|| captures.iter().map(|one| one.capture()).collect());
    IS_CAPTURING.set(false);
    captured.map_err(Arc::new)
}

impl<C, V, A> Capture<dyn AroundFuture> for Pair<C, A>
where
    C: Fn() -> V + Send + Sync,
    V: Clone + Send + Sync + 'static,
    A: Fn(V, TaskContext, TaskRun) -> BoxFuture<'static, TaskResult> + Send + Sync + 'static,
{
    fn capture(&self) -> Arc<dyn AroundFuture> {
        Arc::new(Captured {
            value: (self.capture)(),
            around: self.around.clone(),
        })
    }
}

impl<C, V, A> Capture<dyn AroundThread> for Pair<C, A>
where
    C: Fn() -> V + Send + Sync,
    V: Clone + Send + Sync + 'static,
    A: Fn(V, TaskContext, BlockingRun) -> TaskResult + Send + Sync + 'static,
{
    fn capture(&self) -> Arc<dyn AroundThread> {
        Arc::new(Captured {
            value: (self.capture)(),
            around: self.around.clone(),
        })
    }
}

impl<V, A> AroundFuture for Captured<V, A>
where
    V: Clone + Send + Sync,
    A: Fn(V, TaskContext, TaskRun) -> BoxFuture<'static, TaskResult> + Send + Sync,
{
    fn surround(&self, cx: TaskContext, run: TaskRun) -> BoxFuture<'static, TaskResult> {
        (self.around)(self.value.clone(), cx, run)
    }
}

impl<V, A> AroundThread for Captured<V, A>
where
    V: Clone + Send + Sync,
    A: Fn(V, TaskContext, BlockingRun) -> TaskResult + Send + Sync,
{
    fn surround(&self, cx: TaskContext, run: BlockingRun) -> TaskResult {
        (self.around)(self.value.clone(), cx, run)
    }
}

/// What surrounded the code that queued one task.
pub(crate) struct Surroundings {
    /// The `Background` that they are of: another one captures its own.
    of: Arc<Arounds>,
    futures: Result<Arc<[Arc<dyn AroundFuture>]>, Arc<Panicked>>,
    threads: Result<Arc<[Arc<dyn AroundThread>]>, Arc<Panicked>>,
}

impl Surroundings {
    pub(crate) fn are_of(&self, arounds: &Arc<Arounds>) -> bool {
        Arc::ptr_eq(&self.of, arounds)
    }

    /// Surrounds one run of the task.
    ///
    /// # Panics
    ///
    /// If capturing has panicked, with the same message: the run is what fails.
    pub(crate) fn surround(
        &self,
        cx: &TaskContext,
        run: BoxFuture<'static, TaskResult>,
    ) -> BoxFuture<'static, TaskResult> {
        let futures = self.futures.as_ref().unwrap_or_else(|panic| fail(panic));
        let threads = self.threads.as_ref().unwrap_or_else(|panic| fail(panic));
        let run = if threads.is_empty() {
            run
        } else {
            let on_thread = OnThread {
                arounds: threads.clone(),
                cx: cx.clone(),
            };
            ON_THREAD.scope(on_thread, run).boxed()
        };
        let inside_out = futures.iter().rev();
        inside_out.fold(run, |run, around| around.surround(cx.clone(), TaskRun(run)))
    }
}

/// Does not call the panic hook again.
fn fail(panic: &Panicked) -> ! {
    resume_unwind(Box::new(format!(
        "what surrounds the task could not be captured: {panic}"
    )))
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// What surrounds the work of a synchronous task on its thread.
#[derive(Clone)]
pub(super) struct OnThread {
    arounds: Arc<[Arc<dyn AroundThread>]>,
    cx: TaskContext,
}

impl OnThread {
    /// Returns those of the calling task; `None` if there are none.
    pub(super) fn current() -> Option<Self> {
        ON_THREAD.try_with(Self::clone).ok()
    }

    pub(super) fn call(self, work: impl FnOnce() -> TaskResult + Send + 'static) -> TaskResult {
        let inside_out = self.arounds.iter().rev();
        let work = inside_out.fold(Box::new(work) as BlockingRun, |run, around| {
            let (around, cx) = (around.clone(), self.cx.clone());
            Box::new(move || around.surround(cx, run))
        });
        work()
    }
}
