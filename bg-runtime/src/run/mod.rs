//! Running tasks: from an accepted task to its one outcome.

mod attempt;
mod failure;
mod hook;
mod ledger;
mod list;
mod log;
mod report;
mod shutdown;
mod stats;

pub use self::failure::{FailureKind, SkipReason, TaskFailure};
pub use self::shutdown::{ShutdownReport, UnfinishedTask};
pub use self::stats::Stats;

pub(crate) use self::hook::Hooks;
pub(crate) use self::ledger::Place;
pub(crate) use self::list::{List, Member};
pub(crate) use self::shutdown::deadline;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use self::ledger::{Ledger, Ticket, Watcher};
use crate::collect::QueuedTask;
use crate::task::{RequestInfo, States};

/// A task that will end in one outcome, whatever happens: dropping it is an outcome too.
pub(crate) struct Accepted {
    pub(crate) queued: QueuedTask,
    ticket: Ticket,
}

/// What all handles of one `Background` share.
pub(crate) struct Runner {
    states: States,
    hooks: Hooks,
    drain_timeout: Duration,
    ledger: Ledger,
    /// Asks running tasks to stop, through their `TaskContext`.
    cancel: CancellationToken,
    /// Drops what is still running.
    abort: CancellationToken,
    /// The runtime to use where a task is queued outside of one.
    runtime: OnceLock<Handle>,
    /// Ends the wait of a shutdown early.
    hurry: CancellationToken,
    shutdown: tokio::sync::OnceCell<ShutdownReport>,
}

impl Runner {
    pub(crate) fn new(states: States, hooks: Hooks, drain_timeout: Duration) -> Self {
        let runner = Self {
            states,
            hooks,
            drain_timeout,
            ledger: Ledger::default(),
            cancel: CancellationToken::new(),
            abort: CancellationToken::new(),
            runtime: OnceLock::new(),
            hurry: CancellationToken::new(),
            shutdown: tokio::sync::OnceCell::new(),
        };
        let _ = runner.runtime();
        runner
    }

    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }

    pub(crate) fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// Takes responsibility for a task. After a shutdown its outcome is `aborted`, at once.
    pub(crate) fn accept(
        self: &Arc<Self>,
        queued: QueuedTask,
        request: Option<Arc<RequestInfo>>,
    ) -> Accepted {
        self.accept_watched(queued, request, None)
    }

    fn accept_watched(
        self: &Arc<Self>,
        queued: QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
    ) -> Accepted {
        let ticket = Ticket::issue(self, &queued, request, watcher);
        Accepted { queued, ticket }
    }

    /// Runs one task now. The receiver gets its outcome.
    pub(crate) fn spawn_watched(self: &Arc<Self>, queued: QueuedTask) -> Watched {
        let (watcher, outcome) = oneshot::channel();
        let accepted = self.accept_watched(queued, None, Some(watcher));
        let (runner, place) = (self.clone(), accepted.ticket.place());
        let abort = self.spawn(async move { runner.run_single(accepted).await });
        Watched {
            outcome,
            abort,
            place,
        }
    }

    /// Like [`spawn`](Self::spawn), for tasks that follow a response.
    ///
    /// A worker of tokio keeps the task that it spawned last to itself, in a slot that the next
    /// spawn empties. Often it is the worker that has just polled the sockets for all: if it kept
    /// a task that blocks its thread, nobody would see the next request. A second spawn hands the
    /// task to whoever is free. The response is out, so it may start anywhere.
    pub(crate) fn spawn_aside(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        self.spawn(work);
        let workers = Handle::try_current()
            .ok()
            .filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        if let Some(workers) = workers {
            workers.spawn(std::future::ready(()));
        }
    }

    /// Runs a future on the current runtime, or else on the one this runner was made on. Where
    /// there is neither, the future is dropped, which every ticket in it counts and reports.
    pub(crate) fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<AbortHandle> {
        let runtime = self.runtime()?;
        let abort = self.abort.clone();
        let task = runtime.spawn(async move {
            abort.run_until_cancelled(work).await;
        });
        Some(task.abort_handle())
    }

    fn runtime(&self) -> Option<Handle> {
        match Handle::try_current() {
            Ok(current) => {
                self.runtime.get_or_init(|| current.clone());
                Some(current)
            }
            Err(_) => self.runtime.get().cloned(),
        }
    }

    /// Keeps a shutdown waiting while the guard lives, for work that is not a task itself.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.ledger.hold();
        Hold(self.clone())
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// A spawned task, seen from its handle.
pub(crate) struct Watched {
    pub(crate) outcome: oneshot::Receiver<Result<(), TaskFailure>>,
    pub(crate) abort: Option<AbortHandle>,
    pub(crate) place: Place,
}

/// See [`Runner::hold`].
pub(crate) struct Hold(Arc<Runner>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ledger.release_hold();
    }
}
