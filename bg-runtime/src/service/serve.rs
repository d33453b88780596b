use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::{IntoFuture, Ready, ready};
use std::io;
use std::mem::take;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::ConnectInfo;
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Map};
use http::Request;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::app::{App, AppListener};
use super::detached::DetachedService;
use super::layer::BackgroundService;
use super::signals::{Signal, end_serving, stop_signals};
use crate::log_target::RUNTIME;
use crate::request::{BackgroundIo, DetachedHandler};
use crate::route::warn_of_unmounted;
use crate::run::{Runner, ShutdownReport, end_of_wait};

/// A server that knows when each response has been sent. Created by
/// [`Background::serve`](crate::Background::serve), and run by `.await`.
///
/// Dropping the future closes the listener. Connections that are open go on, and so do tasks. If it is
/// dropped while it drains the tasks, they go on as well, as after a
/// [`shutdown`](crate::Background::shutdown) that is dropped.
///
/// # Errors
///
/// Ends with an error if the handlers of the signals cannot be installed; and before it accepts a
/// connection, if the `Background` was [shut down](crate::Background::shutdown), or if its store of durable tasks is
/// not ready: then a `StartError` is inside.
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L, S> {
    runner: Arc<Runner>,
    listener: L,
    app: S,
    signal: Option<Signal>,
    write_timeout: Option<Duration>,
    detach: bool,
    /// [`run`](Self::run), of which the bounds are known here. So awaiting needs none, and a listener or an app
    /// that is none is one error, where it is given.
    run: fn(Self) -> BoxFuture<'static, io::Result<ShutdownReport>>,
}

impl<L: AppListener, S: App> Serve<L, S> {
    pub(crate) fn new(runner: Arc<Runner>, listener: L, app: S) -> Self {
        Self {
            write_timeout: default_write_timeout(&runner),
            runner,
            listener,
            app,
            signal: None,
            detach: false,
            run: |serve| Box::pin(serve.run()),
        }
    }
}

impl<L, S> Serve<L, S> {
    /// Shuts down when `signal` completes, instead of at Ctrl-C and SIGTERM. There is then no second signal
    /// that would end the wait before the
    /// [`drain_timeout`](crate::BackgroundBuilder::drain_timeout).
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Some(Box::pin(signal));
        self
    }

    /// Has every handler finished, and its tasks run, though its client leaves before it has responded.
    /// See [`BackgroundLayer::detach`](crate::BackgroundLayer::detach).
    pub fn detach(mut self) -> Self {
        self.detach = true;
        self
    }

    /// Gives up a response whose client takes nothing of it for so long; `None` for never. 30 seconds by
    /// default with [`Overflow::Wait`](crate::Overflow::Wait), because there the tasks of such a response
    /// keep others waiting; without a limit otherwise.
    ///
    /// If the socket takes nothing for so long, the connection is closed. With HTTP/2, a client may also
    /// keep the window of a single stream closed: the tasks of that response run, and it ends with a reset if the
    /// client opens the window later; until then its stream stays open, because hyper has no way to end it.
    /// A stream that takes less than 16 KiB in that time counts as one that takes nothing. A body that has
    /// nothing to send for so long, as one of server-sent events, is no concern of this.
    ///
    /// The tasks run as they do when a client leaves, with a
    /// [`ResponseInfo`](crate::ResponseInfo) that is not `complete`. Responses without tasks on a
    /// stream of HTTP/2 are not watched.
    pub fn write_timeout(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.write_timeout = limit.into();
        self
    }
}

/// How long a client may take nothing of a response if nothing else is said.
pub(crate) fn default_write_timeout(runner: &Runner) -> Option<Duration> {
    let wait = runner.limits().responses_wait_for();
    wait.map(|_| Duration::from_secs(30))
}

impl<L, S> IntoFuture for Serve<L, S> {
    type Output = io::Result<ShutdownReport>;
    type IntoFuture = BoxFuture<'static, io::Result<ShutdownReport>>;

    fn into_future(self) -> Self::IntoFuture {
        (self.run)(self)
    }
}

impl<L: AppListener, S: App> Serve<L, S> {
    async fn run(self) -> io::Result<ShutdownReport> {
        let Self {
            runner,
            listener,
            app,
            signal,
            write_timeout,
            detach,
            run: _,
        } = self;
        warn_of_unmounted();
        if runner.is_shut_down() {
            return Err(shut_down());
        }
        // Before the first request, so that a signal that comes during one finds the handlers installed.
        let (first, mut second) = stop_signals(signal)?;
        let serving = runner.begin_serving().await.map_err(|_| shut_down())?;
        #[cfg(feature = "durable")]
        runner.begin_working().await.map_err(io::Error::other)?;

        let (told, is_told) = oneshot::channel();
        let connect = Connect {
            runner: runner.clone(),
            app: converted(app),
            detach,
        };
        let listener = WatchedListener {
            listener,
            stopping: serving.stopping().clone(),
            write_timeout,
        };
        let server = axum::serve(listener, connect).with_graceful_shutdown(async move {
            first.await;
            let _ = told.send(Instant::now());
        });
        let mut server = std::pin::pin!(server.into_future());
        let begun = tokio::select! {
            // The signal first: it may end an idle server at once, and the deadline counts from it.
            biased;
            Ok(begun) = is_told => Some(begun),
            ended = &mut server => {
                ended?;
                None
            }
        };
        // Connections and tasks share the time: a response that never ends must not hold up the
        // shutdown.
        let deadline = end_of_wait(begun.unwrap_or_else(Instant::now), runner.drain_timeout());
        // Known to streams and tasks from now on, not only when the last connection has ended.
        serving.stop(deadline);
        if begun.is_some() {
            tokio::select! {
                ended = &mut server => ended?,
                () = tokio::time::sleep_until(deadline) => {
                    tracing::warn!(target: RUNTIME, "connections did not end within the drain timeout: left behind");
                }
                () = &mut second => {
                    tracing::warn!(target: RUNTIME, "a second signal: the open connections are left behind");
                    serving.hurry().cancel();
                }
            }
        }
        Ok(end_serving(&runner, serving, deadline, second).await)
    }
}

/// The error of a server that begins after the shutdown.
fn shut_down() -> io::Error {
    io::Error::other(
        "this `Background` was shut down, which is for good: build another one to serve again, or let \
         `serve` end without calling `shutdown()`",
    )
}

impl<L: fmt::Debug, S> fmt::Debug for Serve<L, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Has a router turn its handlers into services once, as axum's `into_make_service` does. Otherwise the
/// router would do it for each request, which costs an allocation. Any other app is returned as it is.
fn converted<S: 'static>(mut app: S) -> S {
    let any: &mut dyn Any = &mut app;
    if let Some(router) = any.downcast_mut::<Router>() {
        *router = take(router).with_state(());
    }
    app
}

/// A listener that wraps every accepted connection in [`BackgroundIo`].
struct WatchedListener<L> {
    listener: L,
    /// What each connection's requests see of the end of this server.
    stopping: CancellationToken,
    write_timeout: Option<Duration>,
}

impl<L: Listener> Listener for WatchedListener<L> {
    type Io = BackgroundIo<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, L::Addr) {
        let (io, address) = self.listener.accept().await;
        let stopping = Some(self.stopping.clone());
        let io = BackgroundIo::new(io, self.write_timeout, stopping);
        (io, address)
    }

    fn local_addr(&self) -> io::Result<L::Addr> {
        self.listener.local_addr()
    }
}

/// Creates the service of each connection.
struct Connect<S> {
    runner: Arc<Runner>,
    app: S,
    detach: bool,
}

impl<L, S> Service<IncomingStream<'_, WatchedListener<L>>> for Connect<S>
where
    L: Listener,
    L::Addr: Clone,
    S: Clone,
{
    type Response = BackgroundService<OnConnection<S, L::Addr>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, stream: IncomingStream<'_, WatchedListener<L>>) -> Self::Future {
        let app = OnConnection {
            app: self.app.clone(),
            detach: self.detach,
            address: stream.remote_addr().clone(),
        };
        let connection = stream.io().connection().clone();
        ready(Ok(BackgroundService::on_connection(
            app,
            self.runner.clone(),
            connection,
        )))
    }
}

/// A handler in the task of its connection, or of its stream.
type Attached<F, R> = Map<F, fn(Result<R, Infallible>) -> Result<Response, Infallible>>;

/// The app on one connection, with the client's address for `ConnectInfo` as axum's own
/// make-service gives it.
#[derive(Clone)]
struct OnConnection<S, A> {
    app: S,
    /// Whether each request is handled in a task of its own.
    detach: bool,
    address: A,
}

impl<S, A> Service<Request<axum::body::Body>> for OnConnection<S, A>
where
    S: Service<Request<axum::body::Body>, Error = Infallible>,
    S::Response: IntoResponse,
    S::Future: Send + 'static,
    A: Clone + Send + Sync + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Attached<S::Future, S::Response>, DetachedHandler<Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<axum::body::Body>) -> Self::Future {
        request
            .extensions_mut()
            .insert(ConnectInfo(self.address.clone()));
        if self.detach {
            return Either::Right(DetachedService::new(&mut self.app).call(request));
        }
        let handled = self.app.call(request);
        Either::Left(handled.map(|response| response.map(IntoResponse::into_response)))
    }
}
