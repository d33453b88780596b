//! The handle: configuration, and everything an application does with the library at run time.

mod build_error;
mod builder;
mod global;
mod handle;

pub use self::build_error::BuildError;
pub use self::builder::BackgroundBuilder;
pub use self::global::InstallGlobalError;
pub use self::handle::TaskHandle;

use std::sync::Arc;

use tokio::time::Instant;

use crate::run::{Runner, Settings, ShutdownReport, Stats, deadline};
use crate::service::{BackgroundLayer, Serve};
use crate::task::{IntoTask, TaskInfo, declared_tasks};

/// Runs background tasks. A handle: clones are cheap, and share everything.
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

    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            runner: Runner::new(settings),
        }
    }

    pub(crate) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// The layer that collects the tasks of every request, and runs them after its response.
    ///
    /// For an axum router: `.layer(background.layer())`, last, so that it is outermost.
    /// [`serve`](Self::serve) brings it along.
    ///
    /// Under any other server there is no connection to ask. The tasks start a moment after the
    /// response's last byte has left hyper: 1 ms with HTTP/1, 5 ms with HTTP/2. For a response
    /// without a body over HTTP/2 that is an estimate, which a server that is busy for longer can
    /// break; `serve` never does.
    #[must_use]
    pub fn layer(&self) -> BackgroundLayer {
        BackgroundLayer::new(self.runner.clone())
    }

    /// Serves an app until Ctrl-C or SIGTERM; then stops accepting, finishes the connections,
    /// drains the tasks, and ends with the report. A second signal ends the wait early.
    ///
    /// Like `axum::serve`, with two differences: the tasks of each response start as soon as its
    /// last byte has been handed to the operating system, and the app needs no
    /// [`layer`](Self::layer). `ConnectInfo` works without further ado. Connections and tasks
    /// together get the [`drain_timeout`](BackgroundBuilder::drain_timeout) to finish.
    ///
    /// tokio cannot give a signal back: once `serve` has returned, Ctrl-C and SIGTERM no longer end
    /// the process by themselves. Where a synchronous task may hang, end `main` with
    /// `Runtime::shutdown_timeout` or `std::process::exit`.
    ///
    /// # Errors
    ///
    /// When the handlers of the signals cannot be installed.
    pub fn serve<L, S>(&self, listener: L, app: S) -> Serve<L, S> {
        Serve::new(self.runner.clone(), listener, app)
    }

    /// Runs a task now, outside of any request. Await the handle for the outcome; dropping it
    /// changes nothing.
    ///
    /// Outside of a tokio runtime the task runs on the one that this `Background` was built or
    /// first used on; where there is none its outcome is `aborted`.
    pub fn spawn(&self, task: impl IntoTask) -> TaskHandle {
        TaskHandle::spawn(&self.runner, task.into_task())
    }

    /// How many tasks are where.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.runner.stats()
    }

    /// Every task registered in the program, sorted by name: those declared with
    /// [`#[background_task]`](macro@crate::background_task) or [`register!`](crate::register), in
    /// this crate and in every crate that is linked. A crate that is never named in the code is
    /// not linked: `use that_crate as _;` names it.
    #[must_use]
    pub fn tasks(&self) -> Vec<TaskInfo> {
        declared_tasks()
    }

    /// Waits until every task has its outcome.
    ///
    /// At the end of the [`drain_timeout`](BackgroundBuilder::drain_timeout), tasks are asked to
    /// stop through [`TaskContext::cancelled`](crate::TaskContext::cancelled); a second later,
    /// what still runs is aborted and named in the report. From then on, every task that is
    /// queued is aborted at once. A synchronous task cannot be stopped: its thread goes on,
    /// though its outcome is `aborted`.
    ///
    /// For use with plain `axum::serve(..).with_graceful_shutdown(..)`: call it when that has
    /// returned. Every call gets the report of the first.
    ///
    /// Await it to its end. Dropped before tasks were asked to stop, it has done nothing; dropped after
    /// that, tasks go on, and each new one is asked to stop when it begins.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with timers.
    pub async fn shutdown(&self) -> ShutdownReport {
        let deadline = deadline(Instant::now(), self.runner.drain_timeout());
        self.runner.shut_down(deadline).await
    }
}
