//! Work that runs where it is awaited, and by itself once nobody awaits it any more.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Runner;
use super::aborts::AbortRegistry;

/// Spares the threads that a spawned future would wake. If it is dropped before its end, it is spawned after all. The
/// end of a shutdown aborts it, wherever it runs. A panic ends it.
pub(crate) struct DetachOnDrop {
    /// `None` once it has ended.
    work: Option<BoxFuture<'static, ()>>,
    runner: Arc<Runner>,
}

impl DetachOnDrop {
    pub(super) fn new(
        runner: &Arc<Runner>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        // As if it had been spawned: whoever awaits it does not panic with it.
        let work = AbortRegistry::own(runner, AssertUnwindSafe(work).catch_unwind());
        Self {
            work: Some(work.map(drop).boxed()),
            runner: runner.clone(),
        }
    }
}

impl Future for DetachOnDrop {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(work) = &mut self.work {
            ready!(work.as_mut().poll(cx));
            self.work = None;
        }
        Poll::Ready(())
    }
}

impl Drop for DetachOnDrop {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.runner.executor.spawn_here(work);
        }
    }
}
