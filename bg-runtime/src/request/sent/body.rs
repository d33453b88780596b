use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::stalls::{PART, StreamKey};
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
    /// What of a large frame is still to be given away, in parts: see `stalls.rs`.
    rest: Bytes,
    /// How many bytes were given away.
    bytes: u64,
    /// How many there are, as far as it is known before the end.
    expected: Option<u64>,
    /// The inner body has said that it is over.
    ended: bool,
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
    /// Guards the body of the request's response. The server is `expected` to ask for as many bytes, if that
    /// is known; for a response to `HEAD`, say, for none.
    pub(crate) fn new(inner: Body, request: Arc<RequestTasks>, expected: Option<u64>) -> Self {
        let rides_on_bytes = request.delivery().rides_on_bytes();
        let stream = request.delivery().watch_for_stalls(&request);
        let guard = SentGuard { request, stream };
        Self {
            inner,
            rest: Bytes::new(),
            bytes: 0,
            expected,
            ended: false,
            guard: if rides_on_bytes {
                Share::OneOf(Arc::new(guard))
            } else {
                Share::Whole(guard)
            },
        }
    }

    /// Returns whether all of it was given away.
    fn is_whole(&self) -> bool {
        self.ended || self.expected == Some(self.bytes) || self.is_end_stream()
    }

    fn poll_inner(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let part = self.rest.split_to(self.rest.len().min(PART));
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        // A streaming body is the handler's code, so `after_response` works in it.
        let scope = self.guard.request().scope();
        let inner = Pin::new(&mut self.inner);
        let mut frame = ready!(scope.enter(|| inner.poll_frame(cx)));
        match &mut frame {
            None => self.ended = true,
            Some(Ok(frame)) if frame.is_trailers() => self.ended = true,
            Some(Ok(frame)) if self.guard.stream().is_some() => {
                if let Some(data) = frame.data_mut() {
                    self.rest = data.split_off(data.len().min(PART));
                }
            }
            Some(Ok(_) | Err(_)) => {}
        }
        Poll::Ready(frame)
    }
}

impl Share {
    fn request(&self) -> &Arc<RequestTasks> {
        match self {
            Self::Whole(guard) => &guard.request,
            Self::OneOf(guard) => &guard.request,
        }
    }

    fn stream(&self) -> Option<StreamKey> {
        match self {
            Self::Whole(guard) => guard.stream,
            Self::OneOf(guard) => guard.stream,
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
        let this = self.get_mut();
        if let Some(stream) = this.guard.stream() {
            if let Err(stalled) = this.guard.request().delivery().asked(stream) {
                return Poll::Ready(Some(Err(axum::Error::new(stalled))));
            }
        }
        let polled = this.poll_inner(cx);
        let data = match &polled {
            Poll::Ready(Some(Ok(frame))) => frame.data_ref(),
            _ => None,
        };
        this.bytes += data.map_or(0, |data| data.len() as u64);
        if let Some(stream) = this.guard.stream() {
            let (has_part, is_pending) = (data.is_some(), polled.is_pending());
            let delivery = this.guard.request().delivery();
            delivery.answered(stream, has_part, is_pending);
        }
        let Share::OneOf(guard) = &this.guard else {
            return polled;
        };
        let share = |bytes| {
            Bytes::from_owner(GuardedBytes {
                bytes,
                guard: guard.clone(),
            })
        };
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(share))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        if !self.rest.is_empty() {
            let rest = self.rest.len() as u64;
            // The upper bound first: it may not be below the lower one.
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper + rest);
            }
            hint.set_lower(hint.lower() + rest);
        }
        hint
    }
}

impl Drop for GuardedBody {
    fn drop(&mut self) {
        let request = self.guard.request();
        if request.is_waited_for() {
            request.set_body_over(self.bytes, self.is_whole());
            request.delivery().body_over(request);
        }
    }
}

/// Reports, when dropped, that the body is over and its bytes are gone.
struct SentGuard {
    request: Arc<RequestTasks>,
    /// With a write timeout and HTTP/2.
    stream: Option<StreamKey>,
}

impl Drop for SentGuard {
    fn drop(&mut self) {
        if let Some(stream) = self.stream {
            self.request.delivery().forget(stream);
        }
        if self.request.is_waited_for() {
            if self.request.delivery().throws_away() {
                self.request.set_cut_short();
            }
            self.request.delivery().bytes_gone(&self.request);
        }
    }
}

struct GuardedBytes {
    bytes: Bytes,
    guard: Arc<SentGuard>,
}

impl Drop for GuardedBytes {
    fn drop(&mut self) {
        if let Some(stream) = self.guard.stream {
            self.guard.request.delivery().taken(stream);
        }
    }
}

impl AsRef<[u8]> for GuardedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
