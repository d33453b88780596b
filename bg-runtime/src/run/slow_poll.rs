//! Detecting tasks that block their thread, by how long their polls take.

use std::collections::HashSet;
use std::pin::Pin;
use std::task::{Context, Poll};
// Not tokio's clock: a thread is blocked in real time, even in tests that pause that clock.
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use crate::log_target::RUNTIME;
use crate::sync::Mutex;
use crate::task::TaskInfo;

/// Warns of slow polls, once for each task name.
#[derive(Debug)]
pub(super) struct SlowPolls {
    threshold: Duration,
    warned: Mutex<HashSet<&'static str>>,
}

impl SlowPolls {
    pub(super) fn new(threshold: Duration) -> Self {
        Self {
            threshold,
            warned: Mutex::new(HashSet::new()),
        }
    }

    /// Times the polls of a task.
    pub(super) fn watch<F: Future>(&self, task: TaskInfo, future: F) -> Timed<'_, F> {
        // A synchronous task blocks a thread of the blocking pool, not the thread that polls this.
        let is_watched = self.threshold != Duration::MAX && !task.is_blocking();
        Timed {
            future,
            task,
            slow_polls: is_watched.then_some(self),
        }
    }

    fn warn(&self, task: &TaskInfo, took: Duration) {
        let is_first = self.warned.lock().insert(task.name());
        if is_first {
            tracing::warn!(
                target: RUNTIME,
                {
                    task.name = task.name(),
                    task.file = task.file(),
                    task.line = task.line(),
                },
                "a background task blocks its thread for {} ms: make the fn sync, or use \
                 `spawn_blocking` (said once for each task)",
                took.as_millis()
            );
        }
    }
}

pin_project! {
    /// A future whose polls are timed.
    pub(super) struct Timed<'a, F> {
        #[pin]
        future: F,
        task: TaskInfo,
        slow_polls: Option<&'a SlowPolls>,
    }
}

impl<F: Future> Future for Timed<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(slow_polls) = this.slow_polls else {
            return this.future.poll(cx);
        };
        let begun = Instant::now();
        let polled = this.future.poll(cx);
        let took = begun.elapsed();
        if took > slow_polls.threshold {
            slow_polls.warn(this.task, took);
        }
        polled
    }
}
