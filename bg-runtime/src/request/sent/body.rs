use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::request::RequestTasks;

/// A response body that tells its request's [`Delivery`](super::Delivery) when it has ended or was
/// dropped, and when its last byte has left hyper.
///
/// If the delivery asks for it, every data frame carries a share of the guard. hyper drops a frame
/// when the socket has taken it, so the last share goes when the body has ended *and* its bytes have
/// left. A body that is never polled (HEAD, 204, 304) or dropped half-way ends in the same way.
///
/// Frames are passed on as they come, none is delayed, and the size and the end are those of the
/// inner body, so that the response's head stays byte for byte what it was.
pub(crate) struct GuardedBody {
    inner: Body,
    /// Dropped after `inner`, whose destructors may still add tasks.
    guard: Share,
}

enum Share {
    /// Nothing but the body holds the guard.
    Whole(SentGuard),
    /// The bytes hold it as well.
    OneOf(Arc<SentGuard>),
}

impl GuardedBody {
    pub(crate) fn new(inner: Body, request: Arc<RequestTasks>) -> Self {
        let rides_on_bytes = request.delivery().rides_on_bytes();
        let guard = SentGuard { request };
        Self {
            inner,
            guard: if rides_on_bytes {
                Share::OneOf(Arc::new(guard))
            } else {
                Share::Whole(guard)
            },
        }
    }
}

impl Share {
    fn request(&self) -> &Arc<RequestTasks> {
        match self {
            Self::Whole(guard) => &guard.request,
            Self::OneOf(guard) => &guard.request,
        }
    }
}

impl HttpBody for GuardedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { inner, guard } = self.get_mut();
        // A streaming body is the handler's code, so `after_response` works in it.
        let scope = guard.request().scope();
        let frame = ready!(scope.enter(|| Pin::new(inner).poll_frame(cx)));
        let Share::OneOf(guard) = guard else {
            return Poll::Ready(frame);
        };
        let share = |bytes| {
            Bytes::from_owner(GuardedBytes {
                bytes,
                _guard: guard.clone(),
            })
        };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(share))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        let request = self.guard.request();
        if request.is_waited_for() {
            request.delivery().body_over(request);
        }
    }
}

/// Reports, when dropped, that the body is over and its bytes are gone.
struct SentGuard {
    request: Arc<RequestTasks>,
}

impl Drop for SentGuard {
    fn drop(&mut self) {
        if self.request.is_waited_for() {
            self.request.delivery().bytes_gone(&self.request);
        }
    }
}

struct GuardedBytes {
    bytes: Bytes,
    _guard: Arc<SentGuard>,
}

impl AsRef<[u8]> for GuardedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
