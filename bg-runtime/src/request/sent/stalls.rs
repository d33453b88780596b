//! Streams of HTTP/2 whose client takes nothing: the write timeout of `serve`, as far as a socket that
//! takes everything does not show it.
//!
//! A client opens a window for each stream. While one is closed, hyper neither polls the stream's body nor
//! tells it anything, and nothing outside of hyper can reset the stream. So a stream whose bytes do not
//! move for too long is given up: its tasks run, and its body fails if it is ever polled again, which
//! resets the stream.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Context;
use std::time::Duration;

use slab::Slab;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::log_target::RUNTIME;
use crate::request::RequestTasks;
use crate::sync::Mutex;

/// The most bytes that a body gives away at once on a watched connection. Whether a part has been taken
/// is known only when all of it has.
pub(super) const PART: usize = 16 * 1024;

/// The streams of one connection that are being sent.
pub(super) struct Stalls {
    limit: Duration,
    state: Mutex<StallsState>,
}

#[derive(Default)]
struct StallsState {
    streams: Slab<Stream>,
    /// The [`StallTimer`] is set.
    timer_is_set: bool,
}

/// Fires no later than the first of the streams stalls. `None` while it is not needed. Polled by the
/// connection's task, outside of the lock.
pub(super) type StallTimer = Option<Pin<Box<Sleep>>>;

struct Stream {
    request: Weak<RequestTasks>,
    /// When something of it was last asked for, or taken.
    moved: Instant,
    /// How many parts were given away, and are not taken yet.
    parts: usize,
    /// The body was asked for more, and has none yet: its client is not to blame.
    waits_for_body: bool,
    given_up: bool,
}

impl Stream {
    fn waits_for_client(&self) -> bool {
        !self.given_up && (self.parts > 0 || !self.waits_for_body)
    }
}

/// A stream's place among those of its connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamKey(usize);

impl Stalls {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            state: Mutex::new(StallsState::default()),
        }
    }

    /// Watches a stream from now on. Returns its key, and whether the connection's task has to be woken to
    /// set the timer.
    pub(super) fn watch(&self, request: &Arc<RequestTasks>) -> (StreamKey, bool) {
        let stream = Stream {
            request: Arc::downgrade(request),
            moved: Instant::now(),
            parts: 0,
            waits_for_body: false,
            given_up: false,
        };
        let state = &mut *self.state.lock();
        let key = state.streams.insert(stream);
        (StreamKey(key), !state.timer_is_set)
    }

    pub(super) fn forget(&self, key: StreamKey) {
        self.state.lock().streams.try_remove(key.0);
    }

    /// Notes that the body is asked for more.
    ///
    /// # Errors
    ///
    /// If its stream was given up.
    pub(super) fn asked(&self, key: StreamKey) -> Result<(), Stalled> {
        let mut state = self.state.lock();
        let Some(stream) = state.streams.get_mut(key.0) else {
            return Ok(());
        };
        if stream.given_up {
            return Err(Stalled(self.limit));
        }
        stream.moved = Instant::now();
        Ok(())
    }

    /// Notes what the body has answered: a part, or that it has none yet. Returns whether the connection's
    /// task has to be woken to set the timer.
    pub(super) fn answered(&self, key: StreamKey, has_part: bool, is_pending: bool) -> bool {
        let state = &mut *self.state.lock();
        if let Some(stream) = state.streams.get_mut(key.0) {
            stream.parts += usize::from(has_part);
            stream.waits_for_body = is_pending;
        }
        !is_pending && !state.timer_is_set
    }

    /// Notes that a part has been taken.
    pub(super) fn taken(&self, key: StreamKey) {
        let mut state = self.state.lock();
        if let Some(stream) = state.streams.get_mut(key.0) {
            stream.parts -= 1;
            stream.moved = Instant::now();
        }
    }

    /// Gives up the streams that have stalled, and sets the timer for the next.
    pub(super) fn poll(&self, timer: &mut StallTimer, cx: &mut Context<'_>) {
        loop {
            if timer.is_none() {
                let state = &mut *self.state.lock();
                let next = self.next(&state.streams);
                state.timer_is_set = next.is_some();
                *timer = next.map(|next| Box::pin(sleep_until(next)));
            }
            let Some(set) = timer else { return };
            if set.as_mut().poll(cx).is_pending() {
                return;
            }
            *timer = None;
            let stalled = self.take_stalled(&mut self.state.lock().streams);
            // Outside the lock: it may call the user's code.
            for request in stalled.iter().filter_map(Weak::upgrade) {
                tracing::debug!(
                    target: RUNTIME,
                    request = %request.info(),
                    "given up: {}",
                    Stalled(self.limit)
                );
                request.run_due(false);
            }
        }
    }

    /// Returns when the next stream stalls if nothing moves.
    fn next(&self, streams: &Slab<Stream>) -> Option<Instant> {
        let waiting = streams
            .iter()
            .filter(|(_, stream)| stream.waits_for_client());
        let first = waiting.map(|(_, stream)| stream.moved).min()?;
        Some(first + self.limit)
    }

    fn take_stalled(&self, streams: &mut Slab<Stream>) -> Vec<Weak<RequestTasks>> {
        let now = Instant::now();
        let stalled = streams.iter_mut().filter(|(_, stream)| {
            stream.waits_for_client() && now.duration_since(stream.moved) >= self.limit
        });
        stalled
            .map(|(_, stream)| {
                stream.given_up = true;
                stream.request.clone()
            })
            .collect()
    }
}

impl fmt::Debug for Stalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stalls")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why a connection, or the body of a stream, fails that was given up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stalled(pub(super) Duration);

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(limit) = self;
        write!(
            f,
            "the client has taken nothing of the response for {limit:?}, the write timeout"
        )
    }
}

impl Error for Stalled {}
