use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::CancellationToken;

use super::Connection;
use super::stalls::{StallTimer, Stalled};

pin_project! {
    /// A connection's IO that knows when its responses have been sent. Made by
    /// [`Background::connection`](crate::Background::connection).
    ///
    /// It passes everything on to the IO that it wraps, and adds nothing to what is read and written.
    /// Dropping it tells the connection's requests that nothing more can be sent: their tasks run.
    pub struct BackgroundIo<T> {
        #[pin]
        io: T,
        // After `io`, so dropped after it: what runs then finds the connection closed.
        connection: CloseOnDrop,
        // Something was written since the last flush that completed.
        written: bool,
        // Rare, so boxed.
        write_timeout: Option<Box<WriteTimeout>>,
    }
}

struct CloseOnDrop(Arc<Connection>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> BackgroundIo<T> {
    /// `stopping` is cancelled when the server that accepted the connection is told to stop. `None` under
    /// another server.
    pub(crate) fn new(
        io: T,
        write_timeout: Option<Duration>,
        stopping: Option<CancellationToken>,
    ) -> Self {
        Self {
            io,
            connection: CloseOnDrop(Arc::new(Connection::new(write_timeout, stopping))),
            written: false,
            write_timeout: write_timeout.map(|limit| {
                Box::new(WriteTimeout {
                    limit,
                    blocked: None,
                    next_stall: None,
                })
            }),
        }
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection.0
    }

    /// Returns the IO that is wrapped: for the address of the peer, say.
    pub fn get_ref(&self) -> &T {
        &self.io
    }
}

impl<T: fmt::Debug> fmt::Debug for BackgroundIo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundIo")
            .field("io", &self.io)
            .finish_non_exhaustive()
    }
}

impl<T: AsyncRead> AsyncRead for BackgroundIo<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let connection = &this.connection.0;
        if let Some(timeout) = this.write_timeout {
            connection.poll_stalls(&mut timeout.next_stall, cx);
        }
        let read = this.io.poll_read(cx, buf);
        connection.set_reading(read.is_ready());
        read
    }
}

impl<T: AsyncWrite> AsyncWrite for BackgroundIo<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.written = true;
        let written = this.io.poll_write(cx, buf);
        this.connection.0.add_written(&written);
        within(this.write_timeout, cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        *this.written = true;
        let written = this.io.poll_write_vectored(cx, bufs);
        this.connection.0.add_written(&written);
        within(this.write_timeout, cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let connection = &this.connection.0;
        if let Some(timeout) = this.write_timeout {
            connection.poll_stalls(&mut timeout.next_stall, cx);
        }
        let eligible = connection.begin_flush(cx);
        let flushed = this.io.poll_flush(cx);
        // A flush that fails proves nothing. The server ends the connection, and drops this.
        if let Poll::Ready(Ok(())) = flushed {
            let quiet = !std::mem::take(this.written);
            if eligible > 0 && connection.flushed(eligible, quiet) {
                cx.waker().wake_by_ref();
            }
        }
        within(this.write_timeout, cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let shut_down = this.io.poll_shutdown(cx);
        within(this.write_timeout, cx, shut_down)
    }
}

/// Ends a connection that takes nothing for too long, so that its responses are given up.
struct WriteTimeout {
    limit: Duration,
    /// Runs while what was to be written, or flushed, is held up.
    blocked: Option<Pin<Box<Sleep>>>,
    next_stall: StallTimer,
}

/// Returns what the IO has answered, or an error if it is held up and has been for too long.
fn within<R>(
    timeout: &mut Option<Box<WriteTimeout>>,
    cx: &mut Context<'_>,
    polled: Poll<io::Result<R>>,
) -> Poll<io::Result<R>> {
    let Some(timeout) = timeout else {
        return polled;
    };
    if polled.is_ready() {
        timeout.blocked = None;
        return polled;
    }
    let limit = timeout.limit;
    let blocked = timeout
        .blocked
        .get_or_insert_with(|| Box::pin(sleep(limit)));
    blocked
        .as_mut()
        .poll(cx)
        .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, Stalled(limit))))
}
