use std::sync::Arc;
use std::time::Duration;

use http::Version;
use tokio::sync::Notify;

use super::Connection;
use crate::collect::RequestTasks;

/// How long the task of a foreign server's connection is given to flush what hyper has let go of.
///
/// HTTP/1 has at most to finish the poll it is in. With HTTP/2 the end of a response without a body
/// is queued by one task for another, which nothing of the response can follow: on a busy machine
/// this is an estimate, where a connection of ours is proof.
fn moment(version: Version) -> Duration {
    Duration::from_millis(if version < Version::HTTP_2 { 1 } else { 5 })
}

/// How long a body's bytes may outlive the body. A slow reader needs time; a cache further out
/// keeps them for good.
const LINGER: Duration = Duration::from_secs(600);

/// How one request learns that its response has been sent.
#[derive(Debug)]
pub(crate) enum Sending {
    /// HTTP/1 on a connection of ours. hyper writes the body from the connection's own task, so all
    /// of it stands in front of the next flush once the body has ended.
    Http1(Arc<Connection>),
    /// HTTP/2 on a connection of ours. Bytes wait for the client's window after the body has ended,
    /// so the flush is waited for when the last of them has gone.
    Http2(Arc<Connection>),
    /// Another server, or a test without one. There is no connection to ask, and middleware further
    /// out may hold the bytes: once they are gone, a moment has to do.
    Unknown {
        bytes_gone: Notify,
        version: Version,
    },
    /// A test that records the tasks, which need not wait for anything.
    Recorded,
}

impl Sending {
    pub(crate) fn new(connection: Option<Arc<Connection>>, version: Version) -> Self {
        match connection {
            Some(connection) if version < Version::HTTP_2 => Self::Http1(connection),
            Some(connection) => Self::Http2(connection),
            None => Self::Unknown {
                bytes_gone: Notify::new(),
                version,
            },
        }
    }

    /// Whether the bytes must tell when they have gone.
    pub(super) fn rides_on_bytes(&self) -> bool {
        !matches!(self, Self::Http1(_) | Self::Recorded)
    }
}

/// The body of this request's response has ended, or was dropped.
pub(super) fn body_over(request: &Arc<RequestTasks>) {
    match request.sending() {
        Sending::Http1(_) | Sending::Http2(_) => {}
        Sending::Recorded => request.run_due(),
        Sending::Unknown { .. } => request.spawn_waiting(|request| async move {
            let Sending::Unknown {
                bytes_gone,
                version,
            } = request.sending()
            else {
                return;
            };
            if tokio::time::timeout(LINGER, bytes_gone.notified())
                .await
                .is_err()
            {
                tracing::warn!(
                    request = %request.info(),
                    "something outside of the layer has kept the bytes of a response for \
                     {LINGER:?}: its background tasks run now; put `background.layer()` outside \
                     of caches, or use `Background::serve`"
                );
            }
            tokio::time::sleep(moment(*version)).await;
            // The timer lets this task overtake those that stand in the run queue. Step behind
            // them: the connection's task may be among them.
            tokio::task::yield_now().await;
            request.run_due();
        }),
    }
}

/// The body is over, and nobody holds its bytes any more.
pub(super) fn bytes_gone(request: &Arc<RequestTasks>) {
    match request.sending() {
        Sending::Http1(connection) => connection.after_flush(request),
        Sending::Http2(connection) => connection.after_queue(request),
        Sending::Unknown { bytes_gone, .. } => bytes_gone.notify_one(),
        Sending::Recorded => {}
    }
}
