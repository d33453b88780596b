use std::time::Duration;

use http::StatusCode;

/// How the response to a request went. Returned by [`TaskContext::response`].
///
/// [`TaskContext::response`]: crate::TaskContext::response
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseInfo {
    /// The response's status.
    pub status: StatusCode,
    /// How many bytes of the body the server has taken, without heads, trailers and framing. Those that
    /// the server still held when the client left count as well. 0 for a response without a body: the
    /// answer to `HEAD`, 204, 304.
    pub bytes: u64,
    /// Whether the body came to its end, and the operating system has taken all of it. False if the client
    /// left before that, if the connection was closed, if the body failed on the way, or if the response was
    /// given up because of a [write timeout](crate::Serve::write_timeout).
    ///
    /// A client that leaves when the system has taken the last byte, but has not sent it, is not noticed.
    /// Under a server that does not watch its connections, with [`Background::layer`] alone, it says
    /// whether the body came to its end, and nothing of what became of it then.
    ///
    /// [`Background::layer`]: crate::Background::layer
    pub complete: bool,
    /// How long it took: from the arrival of the request's head at the layer, or the service of
    /// [`Background::serve`](crate::Background::serve), to the end of the response.
    pub elapsed: Duration,
}

impl ResponseInfo {
    pub(crate) fn new(status: StatusCode, bytes: u64, complete: bool, elapsed: Duration) -> Self {
        Self {
            status,
            bytes,
            complete,
            elapsed,
        }
    }
}
