use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::Version;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::collect::RequestTasks;

/// One connection, as the requests on it see it: the place to wait for the flush that sends a response's end.
///
/// A flush that completes has written everything that was buffered when it began.
///
/// - HTTP/1: the task of the connection drops a response's last bytes, and then flushes. One flush is proof.
/// - HTTP/2: another task may have ended the body while the connection's task was flushing something else. Whatever
///   was queued before the first flush completed is encoded before the second begins. Two flushes are proof.
///
/// An idle connection flushes nothing, so whoever waits wakes its task, which flushes every time it is polled. No
/// timer is involved: a flush that is held up by a slow reader, or by a busy thread, holds the tasks back just as long.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    waiting: Mutex<Waiting>,
    waker: AtomicWaker,
    task: OnceLock<Option<tokio::task::Id>>,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<(Arc<RequestTasks>, u8)>,
    closed: bool,
}

impl Connection {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the request's tasks once everything sent before has left.
    pub(crate) fn after_flush(&self, request: Arc<RequestTasks>) {
        let multiplexed = request.version() >= Version::HTTP_2;
        {
            let mut waiting = self.waiting();
            if !waiting.closed {
                let flushes = if multiplexed { 2 } else { 1 };
                waiting.requests.push((request, flushes));
                drop(waiting);
                if multiplexed || !self.is_current_task() {
                    self.waker.wake();
                }
                return;
            }
        }
        request.run_due();
    }

    /// Whether the connection's own task is the caller: then a flush follows by itself.
    fn is_current_task(&self) -> bool {
        let current = tokio::task::try_id();
        current.is_some() && self.task.get() == Some(&current)
    }

    /// A flush has completed that began when `eligible` requests were waiting.
    fn flushed(&self, eligible: usize) {
        let mut sent = Vec::new();
        {
            let mut waiting = self.waiting();
            let mut position = 0;
            waiting.requests.retain_mut(|(request, flushes)| {
                if position < eligible {
                    *flushes -= 1;
                }
                position += 1;
                if *flushes == 0 {
                    sent.push(request.clone());
                }
                *flushes > 0
            });
        }
        sent.iter().for_each(RequestTasks::run_due);
    }

    /// Nothing more can be sent: the client is gone, or the connection belongs to another protocol now.
    fn close(&self) {
        let requests = {
            let mut waiting = self.waiting();
            waiting.closed = true;
            std::mem::take(&mut waiting.requests)
        };
        requests.iter().for_each(|(request, _)| request.run_due());
    }
}

pin_project! {
    /// A connection's IO that tells its [`Connection`] when a flush completes.
    pub(crate) struct FlushedIo<T> {
        #[pin]
        io: T,
        connection: CloseOnDrop,
    }
}

struct CloseOnDrop(Arc<Connection>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> FlushedIo<T> {
    pub(crate) fn new(io: T) -> Self {
        Self {
            io,
            connection: CloseOnDrop(Arc::default()),
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
        self.project().io.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().io.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let connection = &this.connection.0;
        connection.task.get_or_init(tokio::task::try_id);
        // Before the look at who waits, so that one who comes later finds the waker.
        connection.waker.register(cx.waker());
        let eligible = connection.waiting().requests.len();
        let flushed = this.io.poll_flush(cx);
        if eligible > 0 && flushed.is_ready() {
            connection.flushed(eligible);
            if !connection.waiting().requests.is_empty() {
                cx.waker().wake_by_ref();
            }
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().io.poll_shutdown(cx)
    }
}
