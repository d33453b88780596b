use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

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
    pub(super) fn stopping(&self) -> Option<&CancellationToken> {
        self.stopping.as_ref()
    }

    /// Runs the request's tasks once what is buffered now has been written.
    pub(super) fn after_flush(&self, request: &Arc<RequestTasks>) {
        // The connection's own task flushes before it goes idle, so it need not be woken.
        let current = tokio::task::try_id();
        let is_own_task = current.is_some() && self.task.get() == Some(&current);
        self.wait(request, Until::Flush, !is_own_task);
    }

    /// Runs the request's tasks once what is queued now has been written.
    pub(super) fn after_queue(&self, request: &Arc<RequestTasks>) {
        self.wait(request, Until::EmptyQueue { flushes: 0 }, true);
    }

    fn wait(&self, request: &Arc<RequestTasks>, until: Until, wake: bool) {
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            drop(waiting);
            return request.run_due();
        }
        waiting.requests.push((request.clone(), until));
        drop(waiting);
        if wake {
            self.waker.wake();
        }
    }

    /// Releases the requests for which a completed flush is proof; the first `eligible` were waiting
    /// when it began. Returns whether some wait for another flush.
    fn flushed(&self, eligible: usize, quiet: bool) -> bool {
        // Outside the lock, because `run_due` may call the user's code. `close` cannot come meanwhile and
        // miss these requests: both need the `FlushedIo` to themselves.
        let mut requests = std::mem::take(&mut self.waiting.lock().requests);
        let mut position = 0;
        requests.retain_mut(|(request, until)| {
            position += 1;
            let proven = position <= eligible && until.flushed(quiet);
            if proven {
                request.run_due();
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
        requests.iter().for_each(|(request, _)| request.run_due());
    }
}

pin_project! {
    /// A connection's IO that tells its [`Connection`] when a flush completes, and when it is dropped.
    pub(crate) struct FlushedIo<T> {
        #[pin]
        io: T,
        connection: CloseOnDrop,
        // Something was written since the last flush that completed.
        written: bool,
    }
}

struct CloseOnDrop(Arc<Connection>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> FlushedIo<T> {
    #[cfg(all(test, not(shuttle)))]
    pub(super) fn new(io: T) -> Self {
        Self::on(io, Connection::default())
    }

    /// A connection of a server that cancels `stopping` when it is told to stop.
    pub(crate) fn of_server(io: T, stopping: CancellationToken) -> Self {
        let connection = Connection {
            stopping: Some(stopping),
            ..Connection::default()
        };
        Self::on(io, connection)
    }

    fn on(io: T, connection: Connection) -> Self {
        Self {
            io,
            connection: CloseOnDrop(Arc::new(connection)),
            written: false,
        }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection.0
    }
}

impl<T: AsyncRead> AsyncRead for FlushedIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().io.poll_read(cx, buf)
    }
}

impl<T: AsyncWrite> AsyncWrite for FlushedIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.written = true;
        this.io.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.written = true;
        this.io.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let connection = &this.connection.0;
        connection.task.get_or_init(tokio::task::try_id);
        // Before the requests are counted: one that comes after the count finds the waker, and wakes
        // this task for another flush.
        connection.waker.register(cx.waker());
        let eligible = connection.waiting.lock().requests.len();
        let flushed = this.io.poll_flush(cx);
        if flushed.is_ready() {
            let quiet = !std::mem::take(this.written);
            if eligible > 0 && connection.flushed(eligible, quiet) {
                cx.waker().wake_by_ref();
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
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
