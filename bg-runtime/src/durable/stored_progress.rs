use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use crate::task::Progress;

/// How many reports of progress are kept for who does not take them.
const LATEST: usize = 16;

/// The progress of a stored task: see [`StoredTask::progress`](super::StoredTask::progress).
#[must_use = "streams do nothing unless they are polled"]
pub struct StoredProgress {
    reports: BoxStream<'static, Progress>,
    last: Option<Progress>,
}

impl StoredProgress {
    pub(super) fn new(reports: impl Stream<Item = Progress> + Send + 'static) -> Self {
        Self {
            reports: by_itself(reports).fuse().boxed(),
            last: None,
        }
    }

    /// Waits for the next report. Returns `None`, also when called again, once the task has ended.
    ///
    /// Cancel safe: nothing is lost if the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Progress> {
        poll_fn(|cx| self.poll_report(cx)).await
    }

    fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        loop {
            let report = ready!(self.reports.poll_next_unpin(cx));
            // What the store knew at first may come as an event as well.
            if report.is_none() || report != self.last {
                self.last.clone_from(&report);
                return Poll::Ready(report);
            }
        }
    }
}

impl Stream for StoredProgress {
    type Item = Progress;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Progress>> {
        self.poll_report(cx)
    }
}

impl fmt::Debug for StoredProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredProgress").finish_non_exhaustive()
    }
}

/// Polls a stream in a task of its own, as long as the result lives, which has the latest of its items. Whoever takes
/// them may be slow, or take none for a while: polled by him, what asks the store would keep a connection meanwhile.
fn by_itself(
    reports: impl Stream<Item = Progress> + Send + 'static,
) -> impl Stream<Item = Progress> + Send {
    let begin = async move {
        let (sender, receiver) = broadcast::channel(LATEST);
        let task = tokio::spawn(async move {
            let mut reports = std::pin::pin!(reports);
            while let Some(progress) = reports.next().await {
                let _ = sender.send(progress);
            }
        });
        let begun = (receiver, AbortOnDropHandle::new(task));
        stream::unfold(begun, async |(mut receiver, task)| {
            loop {
                match receiver.recv().await {
                    Ok(progress) => return Some((progress, (receiver, task))),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    };
    begin.flatten_stream()
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_report_that_comes_twice_in_a_row_is_passed_on_once() {
        let report = |done| Progress::new(done, 2, "counting".to_owned());
        let reports = stream::iter([0, 1, 1, 2, 2, 1].map(report));
        let mut progress = StoredProgress {
            reports: reports.fuse().boxed(),
            last: None,
        };
        for done in [0, 1, 2, 1] {
            assert_eq!(progress.next().await, Some(report(done)));
        }
        assert_eq!(progress.next().await, None);
        assert_eq!(progress.next().await, None);
    }
}
