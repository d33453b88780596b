//! A connection whose flushes the tests decide on.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use tokio::io::AsyncWrite;

use super::Connection;
use super::connection::FlushedIo;
use crate::Background;
use crate::collect::{Owner, RequestTasks};
use crate::task::named;

/// Takes what it is given. While it flushes, a response ends.
#[derive(Default)]
struct Io {
    ends_meanwhile: Arc<Mutex<Option<Response<Body>>>>,
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        drop(self.ends_meanwhile.lock().unwrap().take());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A response of this connection with one task. It has been sent when it is dropped and flushed.
fn respond(background: &Background, connection: &Arc<Connection>) -> Response<Body> {
    let runner = background.runner().clone();
    let request = RequestTasks::new(runner, Some(connection.clone()), &Request::new(()));
    request.add_all(
        crate::collect::Source::Handler,
        named("follows", std::future::ready(())),
    );
    let mut cx = Context::from_waker(Waker::noop());
    let handler =
        |_: &mut Context<'_>| Poll::Ready(Ok::<_, Infallible>(Response::new("ok".into())));
    match Owner::new(request).poll_response::<Body, _>(&mut cx, handler) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending | Poll::Ready(Err(_)) => panic!("the response is there"),
    }
}

/// Flushes, and gives the number of tasks that have run after that.
async fn flush(io: &mut FlushedIo<Io>, background: &Background) -> u64 {
    let flushed = Pin::new(io).poll_flush(&mut Context::from_waker(Waker::noop()));
    assert!(flushed.is_ready());
    // Time is paused, so this ends when nothing is left to do.
    tokio::time::sleep(Duration::from_secs(1)).await;
    background.stats().completed
}

#[tokio::test(start_paused = true)]
async fn a_response_that_ends_during_a_flush_waits_for_the_next_one() {
    let background = Background::builder().build().unwrap();
    let ends_meanwhile = Arc::default();
    let mut io = FlushedIo::new(Io {
        ends_meanwhile: Arc::clone(&ends_meanwhile),
    });
    let connection = io.connection().clone();
    let (first, second) = (
        respond(&background, &connection),
        respond(&background, &connection),
    );
    *ends_meanwhile.lock().unwrap() = Some(second);
    drop(first);
    assert_eq!(flush(&mut io, &background).await, 1);
    assert_eq!(flush(&mut io, &background).await, 2);
}
