//! Tests of a connection that is flushed by hand.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response, Version};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::{BackgroundIo, Connection};
use crate::request::{RequestGuard, RequestTasks, Source};
use crate::run::{Runner, Settings, end_of_wait};
use crate::task::named;

/// Accepts every write. A response can end while it flushes.
#[derive(Default)]
struct Io {
    ends_meanwhile: Arc<Mutex<Option<Response<Body>>>>,
    shut_down: Arc<AtomicBool>,
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        drop(self.ends_meanwhile.lock().unwrap().take());
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down.store(true, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

/// Returns the response to a request of this version, with one task. It has been sent when it is dropped
/// and its connection, if there is one, has flushed.
fn respond(
    runner: &Arc<Runner>,
    connection: Option<&Arc<Connection>>,
    version: Version,
) -> Response<Body> {
    let mut request = Request::new(());
    *request.version_mut() = version;
    let request = RequestTasks::new(runner.clone(), connection.cloned(), &request);
    request.add_all(Source::Handler, named("follows", std::future::ready(())));
    let mut cx = Context::from_waker(Waker::noop());
    let response = Response::new(Body::from("ok"));
    let handler = |_: &mut Context<'_>| Poll::Ready(Ok::<_, Infallible>(response));
    match RequestGuard::new(request).poll_response(&mut cx, handler) {
        Poll::Ready(Ok(response)) => response,
        Poll::Pending | Poll::Ready(Err(_)) => panic!("the response is there"),
    }
}

/// Flushes, and returns the number of tasks that have run after that.
async fn flush(io: &mut BackgroundIo<Io>, runner: &Runner) -> u64 {
    let flushed = Pin::new(io).poll_flush(&mut Context::from_waker(Waker::noop()));
    assert!(flushed.is_ready());
    // Time is paused, so this ends when everything else waits.
    tokio::time::sleep(Duration::from_secs(1)).await;
    runner.stats().completed
}

#[tokio::test(start_paused = true)]
async fn a_response_that_ends_during_a_flush_waits_for_the_next_one() {
    let runner = Runner::new(Settings::default());
    let ends_meanwhile = Arc::default();
    let mut io = BackgroundIo::new(
        Io {
            ends_meanwhile: Arc::clone(&ends_meanwhile),
            ..Io::default()
        },
        None,
        None,
    );
    let connection = io.connection().clone();
    let [first, second] = [(); 2].map(|()| respond(&runner, Some(&connection), Version::HTTP_11));
    *ends_meanwhile.lock().unwrap() = Some(second);
    drop(first);
    assert_eq!(flush(&mut io, &runner).await, 1);
    assert_eq!(flush(&mut io, &runner).await, 2);
}

/// Counts its wakes.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// An idle connection would not flush. Its own task flushes before it goes idle.
#[tokio::test]
async fn a_response_that_ends_in_another_task_wakes_its_connection() {
    let runner = Runner::new(Settings::default());
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut io = BackgroundIo::new(Io::default(), None, None);
    let connection = io.connection().clone();
    let [here, elsewhere] = [(); 2].map(|()| respond(&runner, Some(&connection), Version::HTTP_11));
    let own_task = tokio::spawn(async move {
        let flushed = Pin::new(&mut io).poll_flush(&mut Context::from_waker(&waker));
        assert!(flushed.is_ready());
        drop(here);
        io
    });
    let _open = own_task.await.unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 0);
    tokio::spawn(async move { drop(elsewhere) }).await.unwrap();
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn an_http_2_response_has_left_after_two_flushes_without_a_write() {
    let runner = Runner::new(Settings::default());
    let mut io = BackgroundIo::new(Io::default(), None, None);
    let connection = io.connection().clone();
    drop(respond(&runner, Some(&connection), Version::HTTP_2));
    assert_eq!(flush(&mut io, &runner).await, 0);
    let mut cx = Context::from_waker(Waker::noop());
    let written = Pin::new(&mut io).poll_write(&mut cx, b"a frame of another stream");
    assert!(written.is_ready());
    assert_eq!(flush(&mut io, &runner).await, 0);
    assert_eq!(flush(&mut io, &runner).await, 1);
}

/// An HTTP/2 response may have to wait for another task of its server.
#[tokio::test(start_paused = true)]
async fn a_server_without_watched_connections_is_given_a_moment_to_flush() {
    for (version, least) in [
        (Version::HTTP_10, 1),
        (Version::HTTP_11, 1),
        (Version::HTTP_2, 5),
    ] {
        let runner = Runner::new(Settings::default());
        let response = respond(&runner, None, version);
        let begun = Instant::now();
        drop(response);
        runner
            .shut_down(end_of_wait(begun, runner.drain_timeout()))
            .await;
        assert_eq!(runner.stats().completed, 1);
        // A timer may be late by a millisecond.
        let least = Duration::from_millis(least);
        let most = least + Duration::from_millis(1);
        let took = begun.elapsed();
        assert!((least..=most).contains(&took), "{version:?} took {took:?}");
    }
}

#[tokio::test]
async fn a_watched_connection_passes_vectored_writes_and_shutdown_on() {
    let shut_down = Arc::default();
    let mut io = BackgroundIo::new(
        Io {
            shut_down: Arc::clone(&shut_down),
            ..Io::default()
        },
        None,
        None,
    );
    assert!(io.is_write_vectored());
    let over = Pin::new(&mut io).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    assert!(over.is_ready());
    assert!(shut_down.load(Ordering::SeqCst));
}
