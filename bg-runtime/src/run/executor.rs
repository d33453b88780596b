//! Where tasks run: on the runtime that hands them over, or on threads of their own.

use std::future::poll_fn;
use std::io;
use std::mem::replace;
use std::sync::OnceLock;
use std::task::Poll;

use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::task::JoinHandle;

use crate::contain::contain;

pub(crate) enum Executor {
    /// The current runtime; outside of one, the first that was seen.
    Current(OnceLock<Handle>),
    Isolated(Threads),
}

impl Executor {
    pub(crate) fn current() -> Self {
        let executor = Self::Current(OnceLock::new());
        // Remembers the current runtime, if there is one, for tasks that are queued outside of any.
        let _ = executor.runtime();
        executor
    }

    pub(crate) fn isolated(threads: usize) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(threads)
            .thread_name("background-task")
            .enable_all();
        // tokio panics if the system cannot start a thread.
        let runtime = contain(|| builder.build()).map_err(io::Error::other)??;
        Ok(Self::Isolated(Threads(Some(runtime))))
    }

    /// Spawns a future where tasks run. Without a runtime, the future is dropped.
    pub(super) fn spawn(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        // The model checker schedules the work itself.
        #[cfg(shuttle)]
        return {
            drop(shuttle::future::spawn(work));
            None
        };
        #[cfg(not(shuttle))]
        Some(self.runtime()?.spawn(work))
    }

    /// Spawns a future on the caller's own runtime, even if tasks run elsewhere.
    pub(super) fn spawn_here(
        &self,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<JoinHandle<()>> {
        match Handle::try_current() {
            Ok(here) => Some(here.spawn(work)),
            Err(_) => self.spawn(work),
        }
    }

    /// Returns the runtime to run tasks on, if there is one.
    pub(super) fn runtime(&self) -> Option<Handle> {
        match self {
            Self::Isolated(Threads(threads)) => {
                threads.as_ref().map(|runtime| runtime.handle().clone())
            }
            Self::Current(first) => match Handle::try_current() {
                Ok(current) => {
                    first.get_or_init(|| current.clone());
                    Some(current)
                }
                Err(_) => first.get().cloned(),
            },
        }
    }

    /// Returns whether a task that is about to run should step aside first.
    ///
    /// A tokio worker keeps the task that it spawned last to itself, in a slot that no other worker may
    /// take from. Often this worker has just polled the sockets for all of them: if it went on with a
    /// task that blocks its thread, the next request would wait for that task. A task that steps aside
    /// joins the worker's queue, which wakes another worker: that one takes the task, or polls the
    /// sockets.
    fn is_shared_with_sockets(&self) -> bool {
        let runtime = match self {
            Self::Isolated(_) => return false,
            Self::Current(_) => Handle::try_current(),
        };
        runtime.is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
    }

    /// Steps aside, if the executor is [shared with sockets](Self::is_shared_with_sockets).
    pub(super) async fn step_aside(&self) {
        let mut is_aside = !self.is_shared_with_sockets();
        // Not tokio's `yield_now`, which defers the wake-up: other workers could not take the task until
        // this one has polled its driver.
        poll_fn(|cx| {
            if replace(&mut is_aside, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Threads that end with the last handle of their `Background` and with its last task: the future of
/// each task has the runner, and the runner has these.
pub(crate) struct Threads(Option<Runtime>);

impl Drop for Threads {
    fn drop(&mut self) {
        // A task may drop the last handle on one of these very threads, where `Runtime`'s own destructor,
        // which waits for them, panics.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
