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

/// Whether any `Background` of the process has had something to capture.
static ARE_THERE_ANY: AtomicBool = AtomicBool::new(false);

/// Returns whether there may be something to capture, for code that does not know of which `Background` it is.
#[inline]
pub(crate) fn are_there_arounds() -> bool {
    ARE_THERE_ANY.load(Ordering::Relaxed)
}

/// Notes that there is something to capture.
pub(crate) fn note_arounds() {
    ARE_THERE_ANY.store(true, Ordering::Relaxed);
}

thread_local! {
    /// The user's `capture` is being called.
    static IS_CAPTURING: Cell<bool> = const { Cell::new(false) };
}

/// A captured value, with the function that is given it.
type AroundFuture = dyn Fn(TaskContext, TaskRun) -> BoxFuture<'static, TaskResult> + Send + Sync;

/// The same for the thread of a synchronous task.
type AroundThread = dyn Fn(TaskContext, BlockingRun) -> TaskResult + Send + Sync;

/// Captures what surrounds the calling code.
type Capture<T> = Box<dyn Fn() -> Arc<T> + Send + Sync>;

/// What one `Background` captures for each task, from the outermost.
#[derive(Default)]
pub(crate) struct Arounds {
    futures: Vec<Capture<AroundFuture>>,
    threads: Vec<Capture<AroundThread>>,
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
        let around = Arc::new(around);
        self.futures.push(Box::new(move || {
            let (value, around) = (capture(), around.clone());
            Arc::new(move |cx, run| around(value.clone(), cx, run).boxed())
        }));
    }

    pub(crate) fn push_blocking<V>(
        &mut self,
        capture: impl Fn() -> V + Send + Sync + 'static,
        around: impl Fn(V, TaskContext, BlockingRun) -> TaskResult + Send + Sync + 'static,
    ) where
        V: Clone + Send + Sync + 'static,
    {
        let around = Arc::new(around);
        self.threads.push(Box::new(move || {
            let (value, around) = (capture(), around.clone());
            Arc::new(move |cx, run| around(value.clone(), cx, run))
        }));
    }

    /// Shares them among the tasks. `None` if there are none.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        if self.futures.is_empty() && self.threads.is_empty() {
            return None;
        }
        note_arounds();
        Some(Arc::new(self))
    }

    /// Captures what surrounds the calling code, for a task that is synchronous or not.
    pub(crate) fn capture(self: &Arc<Self>, is_blocking: bool) -> Surroundings {
        Surroundings {
            of: self.clone(),
            captured: self.try_capture(is_blocking),
        }
    }

    /// Contained, because `capture` is the user's.
    fn try_capture(&self, is_blocking: bool) -> Result<Captured, Panicked> {
        if IS_CAPTURING.replace(true) {
            // It would call itself for ever.
            return Err(Panicked::said("`capture` itself has queued it"));
        }
        let captured = contain(|| Captured {
            futures: self.futures.iter().map(|capture| capture()).collect(),
            threads: if is_blocking {
                self.threads.iter().map(|capture| capture()).collect()
            } else {
                Arc::default()
            },
        });
        IS_CAPTURING.set(false);
        captured
    }
}

/// What surrounded the code that queued one task.
pub(crate) struct Surroundings {
    /// The `Background` that they are of: another one captures its own.
    of: Arc<Arounds>,
    /// A task whose surroundings are not known fails rather than run without them: they may be what keeps one
    /// tenant's data from another.
    captured: Result<Captured, Panicked>,
}

struct Captured {
    futures: Vec<Arc<AroundFuture>>,
    threads: Arc<[Arc<AroundThread>]>,
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
        let Captured { futures, threads } =
            self.captured.as_ref().unwrap_or_else(|panic| fail(panic));
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
        inside_out.fold(run, |run, around| around(cx.clone(), TaskRun(run)))
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
    arounds: Arc<[Arc<AroundThread>]>,
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
            Box::new(move || around(cx, run))
        });
        work()
    }
}
