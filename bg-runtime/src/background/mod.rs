//! The handle: configuration, and everything that an application does with the library at run time.

mod build_error;
mod builder;
#[cfg(feature = "durable")]
mod enqueue;
mod global;
#[cfg(feature = "durable")]
mod stores;
#[cfg(feature = "durable")]
mod work;

pub use self::build_error::BuildError;
pub use self::builder::BackgroundBuilder;
pub use self::global::InstallGlobalError;

use std::sync::Arc;

use tokio::time::Instant;

use crate::request::BackgroundIo;
use crate::run::{LiveTask, Runner, Settings, ShutdownReport, Stats, TaskHandle, end_of_wait};
use crate::service::{
    App, AppListener, BackgroundLayer, BackgroundService, Serve, default_write_timeout,
};
use crate::task::{IntoTask, TaskFailure, TaskId, TaskInfo, registered_tasks};

/// A handle that runs background tasks. Clones are cheap, and share everything.
///
/// ```no_run
/// use axum::Router;
/// use bg_runtime::{Background, TaskFailure};
///
/// # #[derive(Clone)] struct Mailer;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let background = Background::builder()
///     .state(Mailer)
///     .on_error(|failure: &TaskFailure| eprintln!("{failure}"))
///     .build()?;
///
/// let app: Router = Router::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let report = background.serve(listener, app).await?;
/// println!("{report}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Background {
    runner: Arc<Runner>,
}

impl Background {
    /// Starts configuring a `Background`.
    pub fn builder() -> BackgroundBuilder {
        BackgroundBuilder::new()
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        Self {
            runner: Runner::new(settings),
        }
    }

    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// Returns the layer that collects the tasks of every request, and runs them after its response.
    ///
    /// Add it to an axum router with `.layer(background.layer())`, last, so that it is outermost.
    /// [`serve`](Self::serve) needs no layer.
    ///
    /// Under any other server the layer alone cannot watch the connection. The tasks start after hyper has let
    /// go of the body's bytes and a moment: 1 ms with HTTP/1, 5 ms with HTTP/2. With an IO that is not
    /// vectored, as TLS often is, hyper lets go of them when it has copied them, long before the last of a
    /// large body has left. For a response without a body over HTTP/2, and on a server that is busy for longer,
    /// the moment is an estimate. Where it matters, wrap each connection with
    /// [`connection`](Self::connection): the tasks then start as exactly as under `serve`.
    #[must_use]
    pub fn layer(&self) -> BackgroundLayer {
        BackgroundLayer::new(self.runner.clone())
    }

    /// Serves an app until Ctrl-C or SIGTERM, then stops accepting connections, lets the open ones finish,
    /// drains the tasks, and returns the report. A second signal ends the wait early.
    ///
    /// Like `axum::serve`, with two differences: the tasks of each response start as soon as its last byte
    /// has been handed to the operating system, and the app needs no [`layer`](Self::layer).
    /// `ConnectInfo` works without `into_make_service_with_connect_info`. Connections and tasks share the
    /// [`drain_timeout`](BackgroundBuilder::drain_timeout).
    ///
    /// # Several servers
    ///
    /// A `Background` can run several servers, at once or in turn. One that ends while others run waits
    /// for its own connections, and leaves the tasks to the others: its report is the state at that
    /// moment. The last one to end drains the tasks. From then on new tasks are refused
    /// ([`FailureKind::Rejected`](crate::FailureKind::Rejected)), until the next `serve`, whose report
    /// counts what came after the one before. A server that begins while the tasks are drained accepts
    /// connections when that is over; until then, clients wait in the listener's queue.
    ///
    /// Ctrl-C and SIGTERM stop all servers that have no
    /// [`with_graceful_shutdown`](Serve::with_graceful_shutdown).
    ///
    /// # Signals
    ///
    /// tokio does not restore the default signal handlers: once `serve` has returned, Ctrl-C and SIGTERM
    /// no longer end the process. If a synchronous task may hang, end `main` with
    /// `Runtime::shutdown_timeout` or `std::process::exit`.
    ///
    /// # Errors
    ///
    /// Awaiting it returns an error if the signal handlers cannot be installed; and before it accepts a
    /// connection, if this `Background` was [shut down](Self::shutdown), which is for good.
    pub fn serve<L: AppListener, S: App>(&self, listener: L, app: S) -> Serve<L, S> {
        Serve::new(self.runner.clone(), listener, app)
    }

    /// Wraps a connection and its service for another server, so that tasks start exactly when they do under
    /// [`serve`](Self::serve): after the last byte of their response has been handed to the operating system.
    ///
    /// For a server that is built on hyper, such as `hyper_util::server::conn::auto` or `axum-server`: serve
    /// the service that is returned on the IO that is returned, and on no other. The service is any
    /// [`tower`](https://docs.rs/tower) service of HTTP requests, an `axum::Router` for one. No
    /// [`layer`](Self::layer) is needed; one inside does no harm.
    ///
    /// With TLS, `io` may be the socket, inside of TLS, or the TLS stream: both are watched exactly. As with
    /// `serve`, [`Overflow::Wait`](crate::Overflow::Wait) brings a
    /// [write timeout](Serve::write_timeout) of 30 seconds along.
    ///
    /// With HTTP/2, leave `max_concurrent_streams` at no more than hyper's default of 200: on a connection with more
    /// streams than 256 that is never quiet, a task may start before the end of its response.
    ///
    /// The other server ends as it does. Call [`shutdown`](Self::shutdown) when it has.
    ///
    /// ```
    /// use axum::Router;
    /// use bg_runtime::{Background, BackgroundIo, BackgroundService};
    /// use tokio::net::TcpStream;
    ///
    /// /// What a server keeps for each connection.
    /// struct Connection {
    ///     io: BackgroundIo<TcpStream>,
    ///     app: BackgroundService<Router>,
    /// }
    ///
    /// fn accepted(background: &Background, stream: TcpStream, app: &Router) -> Connection {
    ///     let (io, app) = background.connection(stream, app.clone());
    ///     Connection { io, app }
    /// }
    /// ```
    pub fn connection<I, S>(&self, io: I, service: S) -> (BackgroundIo<I>, BackgroundService<S>) {
        let io = BackgroundIo::new(io, default_write_timeout(&self.runner), None);
        let connection = io.connection().clone();
        let service = BackgroundService::on_connection(service, self.runner.clone(), connection);
        (io, service)
    }

    /// Queues a task to run now, outside of any request. Await the handle for the outcome; dropping the handle
    /// leaves the task running.
    ///
    /// If this is called outside of a tokio runtime, the task runs on the runtime that this `Background`
    /// was built or first used on. If there is none, its outcome is `aborted`.
    ///
    /// A durable task is stored with `enqueue` instead. To spawn one is a compile error; where its type is no longer
    /// known, because it was given settings, it is refused. With `.in_process()` it runs here, and does not survive the
    /// process.
    pub fn spawn<T: IntoTask>(&self, task: T) -> TaskHandle {
        #[cfg(feature = "durable")]
        const {
            assert!(
                !T::IS_DURABLE,
                "a durable task is not spawned: store it with `background.enqueue(task).await?`, or, if it need not \
                 survive this process, spawn `task.in_process()`"
            );
        }
        self.runner.spawn_task(task.into_task())
    }

    /// Returns how many tasks are in each state now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.runner.stats()
    }

    /// Returns the tasks that wait or run now, oldest first.
    ///
    /// Takes time for each of them, under the lock that every task needs for a moment: for an administrator's
    /// page, not for each request.
    #[must_use]
    pub fn live(&self) -> Vec<LiveTask> {
        self.runner.live()
    }

    /// Returns a handle to the task of this id, while it waits or runs. `None` if it has ended, or if this
    /// `Background` has never had it.
    ///
    /// With the [`outcome`](Self::outcome), this is how a later request asks what became of a task. Ask for the
    /// handle first: a task that ends between the two questions is then not missed. An id is no secret, so
    /// check that this client may know about the task.
    ///
    /// ```standalone_crate
    /// use axum::extract::{Path, State};
    /// use axum::http::StatusCode;
    /// use bg_runtime::{Background, TaskId};
    ///
    /// async fn export_state(
    ///     State(background): State<Background>,
    ///     Path(id): Path<TaskId>,
    /// ) -> Result<String, StatusCode> {
    ///     if let Some(handle) = background.handle(id) {
    ///         return Ok(match handle.latest() {
    ///             Some(progress) => format!("running, {progress}"),
    ///             None => "running".to_owned(),
    ///         });
    ///     }
    ///     match background.outcome(id) {
    ///         Some(Ok(())) => Ok("done".to_owned()),
    ///         Some(Err(failure)) => Ok(format!("failed: {}", failure.error())),
    ///         None => Err(StatusCode::NOT_FOUND),
    ///     }
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let background = Background::builder().history(10_000).build()?;
    /// # let _ = (export_state, background);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn handle(&self, id: TaskId) -> Option<TaskHandle> {
        self.runner.handle(id)
    }

    /// Returns the outcome of the task of this id, if it is among the last
    /// [`history`](BackgroundBuilder::history) that ended.
    ///
    /// See [`handle`](Self::handle) for an example.
    #[must_use]
    pub fn outcome(&self, id: TaskId) -> Option<Result<(), TaskFailure>> {
        self.runner.outcome(id)
    }

    /// Returns every task registered in the program, sorted by name: those declared with
    /// [`#[background_task]`](macro@crate::background_task) or [`register!`](crate::register), in
    /// this crate and in every crate that is linked. A crate that the code never names is not linked:
    /// `use that_crate as _;` names it.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskInfo> {
        registered_tasks()
    }

    /// Waits until the shutdown begins: the last [`serve`](Self::serve) that runs is told to stop, or
    /// [`shutdown`](Self::shutdown) is called. For work that is neither a task nor a response.
    ///
    /// If it has begun, this completes at once, until another `serve` begins. Tasks have
    /// [`TaskContext::stopping`](crate::TaskContext::stopping); for streams and sockets there is
    /// [`Stopping`](crate::Stopping). Cancel safe.
    pub async fn stopping(&self) {
        let stopping = self.runner.stopping(self.runner.signals());
        stopping.cancelled().await;
    }

    /// Waits until every task has its outcome, closes this `Background` for good, and returns the report:
    /// what was counted since the report before it, if a [`serve`](Self::serve) has made one.
    ///
    /// At the end of the [`drain_timeout`](BackgroundBuilder::drain_timeout), tasks are asked to stop
    /// through [`TaskContext::cancelled`](crate::TaskContext::cancelled); a second later, those that still
    /// run are aborted and named in the report. From then on, every task that is queued is aborted at
    /// once, and `serve` is an error. A synchronous task cannot be stopped: its thread goes on, though its
    /// outcome is `aborted`.
    ///
    /// For use with plain `axum::serve(..).with_graceful_shutdown(..)`: call it when that has returned.
    /// Every call returns the report of the first. If a server drains the tasks just then, this waits for
    /// that, and reports what came after it. Servers of this `Background` that run are not stopped: they
    /// go on to answer requests, whose tasks are aborted, and their own reports count these.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: await it to its end. If it is dropped before tasks were asked to stop, tasks go on
    /// as before, but those whose delay or next run was due after its end have been aborted. If it is
    /// dropped later, tasks go on, and each new one is asked to stop when it begins.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime with timers.
    pub async fn shutdown(&self) -> ShutdownReport {
        let deadline = end_of_wait(Instant::now(), self.runner.drain_timeout());
        self.runner.shut_down(deadline).await
    }
}
