use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio_util::sync::CancellationToken;

use super::stalls::{StallTimer, Stalls};
use crate::request::RequestTasks;
use crate::sync::Mutex;

/// How many flushes after the first a response on a busy HTTP/2 connection waits for at most. h2 sends
/// a frame of one stream after the other, so every stream has had its turn after as many frames as
/// there are streams, of which hyper allows 200.
const BUSY_FLUSHES: u32 = 256;

/// A connection, as its requests see it: the place where they wait for the flush that sends the end of
/// their response.
///
/// A flush that completes has written everything that was buffered when it began.
///
/// - HTTP/1: the connection's task drops a response's body, whose bytes are buffered by then, and
///   flushes. One flush is proof.
/// - HTTP/2: the body ends in another task, which has queued the stream's last frame for the
///   connection's task to encode in its turn. Two flushes without a write between them are proof:
///   before the second, the queue was found empty.
///
/// An idle connection does not flush, so a request that waits wakes the connection's task, which flushes
/// every time it is polled. No timer is involved: a flush that is held up by a slow reader, or by a busy thread,
/// holds the tasks back just as long.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    waiting: Mutex<WaitingRequests>,
    waker: AtomicWaker,
    /// The task that flushes the connection, known from the first flush on; `None` in it if that is not a
    /// task of tokio's.
    task: OnceLock<Option<tokio::task::Id>>,
    /// Cancelled when the server that accepted it is told to stop. `None` under another server.
    stopping: Option<CancellationToken>,
    /// How many bytes the IO has taken. Only the IO changes it.
    written: AtomicU64,
    /// The last read has given something, so the server is about to act on what its client has sent.
    reading: AtomicBool,
    /// Rare, so boxed.
    stalls: Option<Box<Stalls>>,
}

#[derive(Debug, Default)]
struct WaitingRequests {
    /// Requests are added only at the end, so a count from the front stays right without the lock.
    requests: Vec<(Arc<RequestTasks>, Until)>,
    closed: bool,
}

#[derive(Debug)]
enum Until {
    Flush,
    /// Two flushes without a write between them; `flushes` have completed so far.
    EmptyQueue {
        flushes: u32,
    },
}

impl Until {
    /// Counts a completed flush, which is `quiet` if nothing was written since the one before. Returns
    /// whether it is proof.
    fn flushed(&mut self, quiet: bool) -> bool {
        match self {
            Self::Flush => true,
            Self::EmptyQueue { flushes } => {
                *flushes += 1;
                (quiet && *flushes > 1) || *flushes > BUSY_FLUSHES
            }
        }
    }
}

impl Connection {
    pub(super) fn new(
        write_timeout: Option<Duration>,
        stopping: Option<CancellationToken>,
    ) -> Self {
        Self {
            stopping,
            stalls: write_timeout.map(|limit| Box::new(Stalls::new(limit))),
            ..Self::default()
        }
    }

    pub(super) fn stopping(&self) -> Option<&CancellationToken> {
        self.stopping.as_ref()
    }

    /// Returns the streams that are watched for stalls; `None` without a write timeout.
    pub(super) fn stalls(&self) -> Option<&Stalls> {
        self.stalls.as_deref()
    }

    /// Gives up the streams that have stalled. Called whenever the connection's task is polled.
    pub(super) fn poll_stalls(&self, timer: &mut StallTimer, cx: &mut Context<'_>) {
        if let Some(stalls) = &self.stalls {
            // Before the streams are looked at: one that comes later finds the waker.
            self.waker.register(cx.waker());
            stalls.poll(timer, cx);
        }
    }

    /// Has the connection's task polled soon.
    pub(super) fn wake(&self) {
        self.waker.wake();
    }

    pub(super) fn add_written(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            // No other thread writes it.
            let before = self.written.load(Ordering::Relaxed);
            self.written
                .store(before + *bytes as u64, Ordering::Relaxed);
        }
    }

    /// Returns how many bytes have been written so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn set_reading(&self, reading: bool) {
        self.reading.store(reading, Ordering::Relaxed);
    }

    /// Returns whether bytes of an HTTP/2 body that are dropped now are thrown away, because the client has
    /// reset their stream: h2 does that in the connection's task while it acts on what it has read. It
    /// writes or copies frames only when there is nothing more to be read.
    pub(super) fn throws_away(&self) -> bool {
        self.reading.load(Ordering::Relaxed) && self.is_own_task()
    }

    fn is_own_task(&self) -> bool {
        let current = tokio::task::try_id();
        current.is_some() && self.task.get() == Some(&current)
    }

    /// Runs the request's tasks once what is buffered now has been written.
    pub(super) fn after_flush(&self, request: &Arc<RequestTasks>) {
        // The connection's own task flushes before it goes idle, so it need not be woken.
        self.wait(request, Until::Flush, !self.is_own_task());
    }

    /// Runs the request's tasks once what is queued now has been written.
    pub(super) fn after_queue(&self, request: &Arc<RequestTasks>) {
        self.wait(request, Until::EmptyQueue { flushes: 0 }, true);
    }

    fn wait(&self, request: &Arc<RequestTasks>, until: Until, wake: bool) {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            drop(waiting);
            return request.run_due(false);
        }
        waiting.requests.push((request.clone(), until));
        drop(waiting);
        if wake {
            self.waker.wake();
        }
    }

    /// Prepares for a flush. Returns how many requests wait for it.
    pub(super) fn begin_flush(&self, cx: &mut Context<'_>) -> usize {
        self.task.get_or_init(tokio::task::try_id);
        // Before the requests are counted: one that comes after the count finds the waker, and wakes
        // this task for another flush.
        self.waker.register(cx.waker());
        self.waiting.lock().requests.len()
    }

    /// Releases the requests for which a completed flush is proof; the first `eligible` were waiting
    /// when it began. Returns whether some wait for another flush.
    pub(super) fn flushed(&self, eligible: usize, quiet: bool) -> bool {
        // Outside the lock, because `run_due` may call the user's code. `close` cannot come meanwhile and
        // miss these requests: both need the `BackgroundIo` to themselves.
        let mut requests = std::mem::take(&mut self.waiting.lock().requests);
        let mut position = 0;
        requests.retain_mut(|(request, until)| {
            position += 1;
            let proven = position <= eligible && until.flushed(quiet);
            if proven {
                request.run_due(true);
            }
            !proven
        });
        let mut waiting = self.waiting.lock();
        // Put back even when empty, to reuse its allocation; before those that came meanwhile, because
        // `eligible` counts from the front.
        requests.append(&mut waiting.requests);
        waiting.requests = requests;
        !waiting.requests.is_empty()
    }

    /// Runs the tasks of all requests that wait, and from now on those of each that comes: the IO is gone,
    /// so no flush will follow.
    pub(crate) fn close(&self) {
        let requests = {
            let mut waiting = self.waiting.lock();
            waiting.closed = true;
            std::mem::take(&mut waiting.requests)
        };
        let requests = requests.iter();
        requests.for_each(|(request, _)| request.run_due(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flush_proves_that_an_http_1_response_has_left() {
        assert!(Until::Flush.flushed(false));
    }

    #[test]
    fn an_empty_queue_is_proven_by_two_flushes_without_a_write_between_them() {
        let mut until = Until::EmptyQueue { flushes: 0 };
        assert!(
            !until.flushed(true),
            "it may have begun before the last frame was queued"
        );
        assert!(
            !until.flushed(false),
            "what was written may be another stream's"
        );
        assert!(until.flushed(true));
    }

    #[test]
    fn a_queue_that_is_never_empty_does_not_hold_up_tasks_forever() {
        let mut until = Until::EmptyQueue { flushes: 0 };
        let flushes = (1..1000).find(|_| until.flushed(false));
        assert_eq!(flushes, Some(BUSY_FLUSHES + 1));
    }
}
