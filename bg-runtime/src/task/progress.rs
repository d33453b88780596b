use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream, Stream};
use tokio::sync::watch;

use crate::one_line::OneLine;

/// How far a task has come, as it said itself with
/// [`TaskContext::progress`](crate::TaskContext::progress).
///
/// Displays as `3 of 10: resizing`, on one line: what would break it is escaped, and what is longer than
/// 4 KiB is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    done: u64,
    total: u64,
    message: String,
}

impl Progress {
    pub(super) fn new(done: u64, total: u64, message: String) -> Self {
        Self {
            done,
            total,
            message,
        }
    }

    /// How much is done, in the task's own unit.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done
    }

    /// How much there is to do.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What the task is at.
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

/// The progress of one task. From [`TaskHandle::progress`](crate::TaskHandle::progress).
///
/// Gives the latest word each time it is asked: a reader that is slower than the task misses some, and
/// never holds the task up. Ends when the task has its outcome.
#[must_use = "streams do nothing unless they are polled"]
pub struct ProgressStream(BoxStream<'static, Progress>);

impl ProgressStream {
    /// `None`: the task has its outcome already.
    pub(crate) fn new(watched: Option<watch::Receiver<Option<Progress>>>) -> Self {
        let Some(watched) = watched else {
            return Self(stream::empty().boxed());
        };
        let latest = stream::unfold(watched, |mut watched| async {
            watched.changed().await.ok()?;
            let latest = watched.borrow_and_update().clone();
            Some((latest, watched))
        });
        // Fused, so that whoever asks again after the end is told of it again.
        Self(latest.filter_map(std::future::ready).fuse().boxed())
    }

    /// The next word of the task; `None`, however often, when the task has its outcome.
    ///
    /// Cancel safe: nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Progress> {
        self.0.next().await
    }
}

impl Stream for ProgressStream {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.0.poll_next_unpin(cx)
    }
}

impl fmt::Debug for ProgressStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgressStream").finish_non_exhaustive()
    }
}
