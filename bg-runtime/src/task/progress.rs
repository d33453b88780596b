use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::stream::Stream;

use super::tracked::Watcher;
use crate::one_line::OneLine;

/// The progress that a task reports with [`TaskContext::progress`](crate::TaskContext::progress).
///
/// Displays as `3 of 10: resizing`, on one line. The message is cut at 4 KiB, and characters that would
/// break the line are escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    done: u64,
    total: u64,
    message: String,
}

impl Progress {
    pub(crate) fn new(done: u64, total: u64, message: String) -> Self {
        Self {
            done,
            total,
            message,
        }
    }

    /// The amount that is done, in the task's own unit.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// The amount that there is to do, in the same unit.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The task's description of what it is doing. May be empty.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.done, self.total)?;
        if !self.message.is_empty() {
            write!(f, ": {}", OneLine(&self.message))?;
        }
        Ok(())
    }
}

/// A stream of one task's progress. Returned by [`TaskHandle::progress`](crate::TaskHandle::progress).
///
/// Yields the latest report each time: a reader that is slower than the task misses some, and never
/// holds the task up. Ends when the task has its outcome.
#[must_use = "streams do nothing unless they are polled"]
pub struct ProgressStream(Watcher);

impl ProgressStream {
    pub(crate) fn new(watcher: Watcher) -> Self {
        Self(watcher)
    }

    /// Waits for the next report. Returns `None`, also when called again, once the task has its outcome.
    ///
    /// Cancel safe: nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Progress> {
        poll_fn(|cx| self.0.poll_progress(cx)).await
    }
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.0.poll_progress(cx)
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").finish_non_exhaustive()
    }
}
