use std::sync::Arc;

use tokio::task_local;
use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

use super::failure::AbortReason;
use super::result::TaskResult;
use super::surroundings::OnThread;
use crate::contain::Contained;
use crate::scope::{Scope, enter_by_hook, is_by_hook};
use crate::sync::Mutex;

task_local! {
    static SHARE: ThreadShare;
}

/// A thread's share of what a run holds, such as permits, which are given back with the last share.
///
/// Here it is opaque: `run/limits/lease.rs` knows what is in it.
#[derive(Clone)]
pub(crate) struct ThreadShare(
    #[expect(dead_code, reason = "kept to be dropped")] Arc<dyn Send + Sync>,
);

impl ThreadShare {
    pub(crate) fn new(held: Arc<impl Send + Sync + 'static>) -> Self {
        Self(held)
    }

    /// Runs a future whose [`blocking`] work holds the share until it is over.
    pub(crate) fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> {
        SHARE.scope(self, future)
    }

    fn current() -> Option<Self> {
        SHARE.try_with(Self::clone).ok()
    }
}

/// Runs `work` on tokio's blocking pool, in the span and the scope of the caller.
///
/// If the future is dropped before a thread is free, the work is dropped with it. Once it has begun,
/// nothing stops it: see `own_cancel` in `run/attempt.rs`.
///
/// # Errors
///
/// The error of `work`, or an `AbortReason` if the runtime shuts down before `work` begins.
///
/// # Panics
///
/// Resumes the panic of `work`.
pub async fn blocking(work: impl FnOnce() -> TaskResult + Send + 'static) -> TaskResult {
    let (span, scope, is_by_hook) = (Span::current(), Scope::current(), is_by_hook());
    let share = ThreadShare::current();
    let on_thread = OnThread::current();
    let work = move || match on_thread {
        Some(on_thread) => on_thread.call(work),
        None => work(),
    };
    let work = move || span.in_scope(work);
    let work = move || {
        if is_by_hook {
            enter_by_hook(work)
        } else {
            work()
        }
    };
    let run = move || {
        // Dropped when the work is over, and so before the future learns that it is.
        let _share = share;
        match scope {
            Some(scope) => scope.enter(work),
            None => work(),
        }
    };
    let queued = Queued::new(run);
    let on_thread = queued.on_thread();
    match AbortOnDropHandle::new(tokio::task::spawn_blocking(on_thread)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled, and not by the handle, which is dropped only with this future.
            Err(_) => Err(AbortReason::Dropped.into()),
        },
    }
}

/// Work that waits for a thread, and is dropped with this unless it has begun.
///
/// tokio alone would keep work that was aborted until a thread is free, and with it the permits of its run.
struct Queued<W>(Arc<Mutex<Option<W>>>);

impl<W: FnOnce() -> TaskResult> Queued<W> {
    fn new(work: W) -> Self {
        Self(Arc::new(Mutex::new(Some(work))))
    }

    /// Returns what the thread calls. Without work it does nothing, and no one hears of its result.
    fn on_thread(&self) -> impl FnOnce() -> TaskResult + use<W> {
        let queued = self.0.clone();
        move || {
            let work = queued.lock().take();
            work.map_or(Ok(()), |work| work())
        }
    }
}

impl<W> Drop for Queued<W> {
    fn drop(&mut self) {
        // Not under the lock, because this drops the user's arguments.
        let work = self.0.lock().take();
        drop(Contained::new(work));
    }
}
