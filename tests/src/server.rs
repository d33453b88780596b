//! An app on a socket of this machine, on a runtime and a thread of its own, so that what blocks
//! there does not block the test.

use std::{net::SocketAddr, thread, time::Duration};

use axum::Router;
use bg_runtime::{Background, BackgroundBuilder, ShutdownReport, TaskFailure};
use tokio::sync::{oneshot, watch};

use crate::{
    flavours::Flavour,
    foreign::serve_connections,
    recorded_io::{Gate, RecordedListener, Recorder, ResponseEnd},
    tasks::Failures,
    timeline::{Moment, Timeline, eventually, within},
};

/// What serves the app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// `Background::serve`.
    Background,
    /// `axum::serve`, with `Background::layer` around the app.
    Layer,
    /// `axum::serve`, and nothing of the library around the app. Not among [`Setup::all`].
    PlainAxum,
    /// `Background::serve`, with `detach`. Not among [`Setup::all`].
    DetachedBackground,
    /// `axum::serve`, with `Background::layer` and `detach` around the app. Not among [`Setup::all`].
    DetachedLayer,
    /// A server of hyper-util, whose connections `Background::connection` has wrapped. Not among [`Setup::all`].
    Connection,
}

impl Serving {
    /// Returns whether the server drains the tasks when it ends.
    #[must_use]
    pub fn drains(self) -> bool {
        matches!(self, Self::Background | Self::DetachedBackground)
    }

    /// Returns whether the end of every response is known, and not estimated.
    #[must_use]
    pub fn is_exact(self) -> bool {
        self.drains() || self == Self::Connection
    }
}

/// One way to run a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// The runtime that it is on.
    pub flavour: Flavour,
    /// What serves.
    pub serving: Serving,
}

impl Setup {
    /// For tests of what depends neither on the runtime nor on the server.
    pub const DEFAULT: Self = Self {
        flavour: Flavour::Workers(2),
        serving: Serving::Background,
    };

    /// Every setup.
    pub fn all() -> impl Iterator<Item = Self> {
        let both = [Serving::Background, Serving::Layer];
        let all = Flavour::ALL.map(|flavour| both.map(|serving| Self { flavour, serving }));
        all.into_iter().flatten()
    }

    /// Every setup that finishes handlers whose client has left.
    pub fn detached() -> impl Iterator<Item = Self> {
        let both = [Serving::DetachedBackground, Serving::DetachedLayer];
        let all = Flavour::ALL.map(|flavour| both.map(|serving| Self { flavour, serving }));
        all.into_iter().flatten()
    }
}

/// Runs a test with every setup, one after the other.
pub async fn on_every_setup(test: impl AsyncFn(Setup)) {
    for setup in Setup::all() {
        eprintln!("{setup:?}");
        test(setup).await;
    }
}

/// A running server. Dropping it takes its runtime away, ready or not.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    background: Background,
    recorder: Recorder,
    failures: Failures,
    graceful: watch::Sender<bool>,
    report: oneshot::Receiver<ShutdownReport>,
    thread: thread::JoinHandle<()>,
}

impl Server {
    /// Serves what `app` makes. It is called on the server's runtime.
    pub async fn start(
        setup: Setup,
        timeline: &Timeline,
        app: impl FnOnce() -> (Background, Router) + Send + 'static,
    ) -> Self {
        let recorder = Recorder::new(timeline.clone());
        let (graceful, stop) = watch::channel(false);
        let (started, start) = oneshot::channel();
        let (finished, report) = oneshot::channel();
        let thread = thread::spawn({
            let recorder = recorder.clone();
            move || {
                let runtime = setup.flavour.runtime();
                runtime.block_on(async move {
                    let (background, app) = app();
                    let listener = RecordedListener::bind(recorder).await.expect("a port");
                    let address = axum::serve::Listener::local_addr(&listener);
                    let address = address.expect("an address");
                    let _ = started.send((address, background.clone()));
                    let mut killed = stop.clone();
                    tokio::select! {
                        report = serve(setup.serving, background, listener, app, stop) => {
                            let _ = finished.send(report);
                        }
                        () = async { while killed.changed().await.is_ok() {} } => {}
                    }
                });
                runtime.shutdown_timeout(Duration::from_secs(5));
            }
        });
        let (address, background) = within("a server", start).await.expect("started");
        Self {
            address,
            background,
            recorder,
            failures: Failures::default(),
            graceful,
            report,
            thread,
        }
    }

    /// Serves these routes, whose state, as that of their tasks, is the timeline. Failures are kept, see
    /// [`failure`](Self::failure), and marked: `email panic`, `email skipped`.
    pub async fn run(setup: Setup, timeline: &Timeline, routes: Router<Timeline>) -> Self {
        Self::run_with(setup, timeline, routes, |builder| builder).await
    }

    /// Like [`run`](Self::run), with settings.
    pub async fn run_with(
        setup: Setup,
        timeline: &Timeline,
        routes: Router<Timeline>,
        settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder + Send + 'static,
    ) -> Self {
        let failures = Failures::default();
        let builder = timeline.background().on_error(failures.hook(timeline));
        let app = routes.with_state(timeline.clone());
        let mut server = Self::start(setup, timeline, move || {
            let background = settings(builder).build();
            (background.expect("nothing to refuse"), app)
        })
        .await;
        server.failures = failures;
        server
    }

    /// Waits until the task `name` has failed, or was skipped, and tells how.
    pub async fn failure(&self, name: &str) -> TaskFailure {
        let what = format!("a failure of `{name}`");
        eventually(&what, || self.failures.of(name).is_some()).await;
        self.failures.of(name).expect("it was just there")
    }

    /// Every failure so far.
    pub fn failures(&self) -> &Failures {
        &self.failures
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle that its app was built with.
    pub fn background(&self) -> &Background {
        &self.background
    }

    /// Holds back what it writes.
    pub fn gate(&self) -> &Gate {
        self.recorder.gate()
    }

    /// What it wrote.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// When it wrote the last byte of a response. A client may have read that byte before the
    /// server is back from its write, so this waits.
    pub async fn last_write(&self, end: ResponseEnd) -> Moment {
        eventually("written", || self.recorder.last_write(end).is_some()).await;
        self.recorder.last_write(end).expect("it was just there")
    }

    /// Asks it to stop, without waiting.
    pub fn begin_stop(&self) {
        self.graceful.send_replace(true);
    }

    /// Stops it: no new connections, the open ones finish, and so do the tasks.
    pub async fn stop(self) -> ShutdownReport {
        self.begin_stop();
        self.stopped().await
    }

    /// Waits until it has stopped.
    pub async fn stopped(mut self) -> ShutdownReport {
        within("stopping", &mut self.report).await.expect("stopped")
    }

    /// Takes its runtime away with everything that runs there, and waits until it is gone.
    pub fn kill(self) {
        drop(self.graceful);
        self.thread.join().expect("the server's thread");
    }
}

async fn serve(
    serving: Serving,
    background: Background,
    listener: RecordedListener,
    app: Router,
    mut stop: watch::Receiver<bool>,
) -> ShutdownReport {
    let stop = async move {
        if stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match serving {
        Serving::Background => background
            .serve(listener, app)
            .with_graceful_shutdown(stop)
            .await
            .expect("served"),
        Serving::DetachedBackground => background
            .serve(listener, app)
            .with_graceful_shutdown(stop)
            .detach()
            .await
            .expect("served"),
        Serving::Connection => {
            serve_connections(background.clone(), listener, app, stop).await;
            background.shutdown().await
        }
        Serving::Layer | Serving::DetachedLayer | Serving::PlainAxum => {
            let app = match serving {
                Serving::Layer => app.layer(background.layer()),
                Serving::DetachedLayer => app.layer(background.layer().detach()),
                _ => app,
            };
            let served = axum::serve(listener, app).with_graceful_shutdown(stop);
            served.await.expect("served");
            background.shutdown().await
        }
    }
}
