use std::sync::Arc;
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Connection;
use super::stalls::{Stalled, Stalls, StreamKey};
use crate::log_target::RUNTIME;
use crate::request::RequestTasks;

/// Returns how long the task of another server's connection is given to flush what hyper has let go
/// of.
///
/// With HTTP/1 that task has at most to finish the poll it is in. With HTTP/2 one task queues the end of
/// a response without a body for another, and nothing of the response shows when that has sent it: on a
/// busy machine this time is an estimate, where a watched connection gives proof.
fn moment(version: Version) -> Duration {
    Duration::from_millis(if version < Version::HTTP_2 { 1 } else { 5 })
}

/// How long a body's bytes may outlive the body. A slow reader needs time, but a cache further out
/// keeps them for good.
const LINGER: Duration = Duration::from_secs(600);

/// How one request learns that its response has been sent.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// HTTP/1 on a connection that is watched. hyper buffers the body in the connection's own task, so all
    /// of it comes before the next flush once the body has ended.
    Http1(Arc<Connection>),
    /// HTTP/2 on a connection that is watched. Bytes may wait for the client's window after the body has
    /// ended, so the wait for a flush begins when the last of them is gone.
    Http2(Arc<Connection>),
    /// Another server, or no server at all. There is no connection to ask, and middleware further out
    /// may hold the bytes. Once they are gone, a fixed time has to do.
    Estimated {
        bytes_gone: Notify,
        version: Version,
    },
    /// Not waited for, because a test records the tasks as soon as the response is there.
    NotAwaited,
}

impl Delivery {
    pub(crate) fn new(connection: Option<Arc<Connection>>, version: Version) -> Self {
        match connection {
            Some(connection) if version < Version::HTTP_2 => Self::Http1(connection),
            Some(connection) => Self::Http2(connection),
            None => Self::Estimated {
                bytes_gone: Notify::new(),
                version,
            },
        }
    }

    /// Returns whether tasks wait until the response has been sent.
    pub(crate) fn is_awaited(&self) -> bool {
        !matches!(self, Self::NotAwaited)
    }

    /// Returns whether the bytes have to report that they are gone.
    pub(super) fn rides_on_bytes(&self) -> bool {
        !matches!(self, Self::Http1(_) | Self::NotAwaited)
    }

    /// Returns the token that is cancelled when the server of the request is told to stop. `None` if the
    /// server is another, or none.
    pub(crate) fn server_stopping(&self) -> Option<&CancellationToken> {
        match self {
            Self::Http1(connection) | Self::Http2(connection) => connection.stopping(),
            Self::Estimated { .. } | Self::NotAwaited => None,
        }
    }

    /// Returns how many bytes the connection has written so far; `None` if it is not watched.
    pub(in crate::request) fn written(&self) -> Option<u64> {
        match self {
            Self::Http1(connection) | Self::Http2(connection) => Some(connection.written()),
            Self::Estimated { .. } | Self::NotAwaited => None,
        }
    }

    /// Returns whether bytes that are dropped now are thrown away instead of sent, as far as it is known.
    pub(super) fn throws_away(&self) -> bool {
        matches!(self, Self::Http2(connection) if connection.throws_away())
    }

    /// The streams that are watched for stalls. With HTTP/1 the connection itself shows one.
    fn stalls(&self) -> Option<(&Connection, &Stalls)> {
        match self {
            Self::Http2(connection) => Some((connection, connection.stalls()?)),
            Self::Http1(_) | Self::Estimated { .. } | Self::NotAwaited => None,
        }
    }

    /// Watches the stream of the response for stalls from now on, if there is a write timeout.
    pub(super) fn watch_for_stalls(&self, request: &Arc<RequestTasks>) -> Option<StreamKey> {
        let (connection, stalls) = self.stalls()?;
        let (key, wake) = stalls.watch(request);
        if wake {
            connection.wake();
        }
        Some(key)
    }

    /// Called when the server asks the body for more. See [`Stalls::asked`].
    pub(super) fn asked(&self, stream: StreamKey) -> Result<(), Stalled> {
        self.stalls()
            .map_or(Ok(()), |(_, stalls)| stalls.asked(stream))
    }

    /// Called with what the body has answered.
    pub(super) fn answered(&self, stream: StreamKey, has_part: bool, is_pending: bool) {
        if let Some((connection, stalls)) = self.stalls() {
            if stalls.answered(stream, has_part, is_pending) {
                connection.wake();
            }
        }
    }

    /// Called when a part of the body has been taken.
    pub(super) fn taken(&self, stream: StreamKey) {
        if let Some((_, stalls)) = self.stalls() {
            stalls.taken(stream);
        }
    }

    /// Called when all of the body has been taken, or was dropped.
    pub(super) fn forget(&self, stream: StreamKey) {
        if let Some((_, stalls)) = self.stalls() {
            stalls.forget(stream);
        }
    }

    /// Called when the body of this request's response has ended, or was dropped.
    pub(super) fn body_over(&self, request: &Arc<RequestTasks>) {
        match self {
            Self::Http1(_) | Self::Http2(_) => {}
            // As if a client had taken what the test has.
            Self::NotAwaited => request.run_due(true),
            Self::Estimated { .. } => request.spawn_waiting(wait_for_a_moment),
        }
    }

    /// Called when the body is over and its bytes are gone.
    pub(super) fn bytes_gone(&self, request: &Arc<RequestTasks>) {
        match self {
            Self::Http1(connection) => connection.after_flush(request),
            Self::Http2(connection) => connection.after_queue(request),
            // Remembered if the task of `body_over` does not wait yet.
            Self::Estimated { bytes_gone, .. } => bytes_gone.notify_one(),
            Self::NotAwaited => {}
        }
    }
}

/// Waits until the bytes are gone, and a [`moment`] more; then runs the request's tasks.
async fn wait_for_a_moment(request: Arc<RequestTasks>) {
    let waiting = NotWaitedFor(request);
    let request = &waiting.0;
    let Delivery::Estimated {
        bytes_gone,
        version,
    } = request.delivery()
    else {
        return;
    };
    if tokio::time::timeout(LINGER, bytes_gone.notified())
        .await
        .is_err()
    {
        tracing::warn!(
            target: RUNTIME,
            {
                request = %request.info(),
            },
            "something outside of the layer has kept the bytes of a response for {LINGER:?}: its \
             background tasks run now; put `background.layer()` outside of caches, or use \
             `Background::serve`"
        );
    }
    tokio::time::sleep(moment(*version)).await;
    // The timer lets this task overtake those in the run queue. Step behind them: the connection's task
    // may be among them.
    tokio::task::yield_now().await;
    request.run_due(true);
}

/// Lets the tasks of a request go whose wait was aborted by the end of a drain: those that wait have been
/// settled by it, and one that comes later has nothing left to wait for.
struct NotWaitedFor(Arc<RequestTasks>);

impl Drop for NotWaitedFor {
    fn drop(&mut self) {
        self.0.stop_waiting();
    }
}
