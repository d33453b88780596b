use std::sync::Arc;
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;

use super::Connection;
use crate::request::RequestTasks;

/// Returns how long the task of another server's connection is given to flush what hyper has let go
/// of.
///
/// HTTP/1 has at most to finish the poll it is in. With HTTP/2 the end of a response without a body
/// is queued by one task for another, which nothing of the response can follow: on a busy machine
/// this is an estimate, where a watched connection is proof.
fn moment(version: Version) -> Duration {
    Duration::from_millis(if version < Version::HTTP_2 { 1 } else { 5 })
}

/// How long a body's bytes may outlive the body. A slow reader needs time; a cache further out
/// keeps them for good.
const LINGER: Duration = Duration::from_secs(600);

/// How one request learns that its response has been sent.
#[derive(Debug)]
pub(crate) enum Delivery {
    /// HTTP/1 on a connection that is watched. hyper writes the body from the connection's own task, so
    /// all of it stands before the next flush once the body has ended.
    Http1(Arc<Connection>),
    /// HTTP/2 on a connection that is watched. Bytes wait for the client's window after the body has
    /// ended, so the flush is waited for when the last of them is gone.
    Http2(Arc<Connection>),
    /// Another server, or no server at all. There is no connection to ask, and middleware further out
    /// may hold the bytes: once they are gone, a moment has to do.
    Estimated {
        bytes_gone: Notify,
        version: Version,
    },
    /// Not waited for: a test records the tasks as soon as the response is there.
    Unwatched,
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
    pub(crate) fn is_watched(&self) -> bool {
        !matches!(self, Self::Unwatched)
    }

    /// Returns whether the bytes must report that they are gone.
    pub(super) fn rides_on_bytes(&self) -> bool {
        !matches!(self, Self::Http1(_) | Self::Unwatched)
    }

    /// The body of this request's response has ended, or was dropped.
    pub(super) fn body_over(&self, request: &Arc<RequestTasks>) {
        match self {
            Self::Http1(_) | Self::Http2(_) => {}
            Self::Unwatched => request.run_due(),
            Self::Estimated { .. } => request.spawn_waiting(wait_for_a_moment),
        }
    }

    /// The body is over, and its bytes are gone.
    pub(super) fn bytes_gone(&self, request: &Arc<RequestTasks>) {
        match self {
            Self::Http1(connection) => connection.after_flush(request),
            Self::Http2(connection) => connection.after_queue(request),
            Self::Estimated { bytes_gone, .. } => bytes_gone.notify_one(),
            Self::Unwatched => {}
        }
    }
}

/// Waits until the bytes are gone, and for a moment, and runs the request's tasks.
async fn wait_for_a_moment(request: Arc<RequestTasks>) {
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
            request = %request.info(),
            "something outside of the layer has kept the bytes of a response for {LINGER:?}: its \
             background tasks run now; put `background.layer()` outside of caches, or use \
             `Background::serve`"
        );
    }
    tokio::time::sleep(moment(*version)).await;
    // The timer lets this task overtake those that stand in the run queue. Step behind them: the
    // connection's task may be among them.
    tokio::task::yield_now().await;
    request.run_due();
}
