//! Running tasks: from an accepted task to its one outcome.

mod attempt;
mod executor;
mod global;
mod hook;
#[cfg(all(test, shuttle))]
mod interleavings;
mod ledger;
mod limits;
mod log;
mod metrics;
mod order;
mod recording;
mod report;
mod shutdown;
mod slow_poll;
mod spawned;
mod stats;
mod task;
mod ticket;

pub use self::limits::Overflow;
pub use self::shutdown::{ShutdownReport, UnfinishedTask};
pub use self::stats::Stats;

pub(crate) use self::executor::Executor;
pub(crate) use self::global::{global, install_global};
pub(crate) use self::hook::{Hooks, is_telling, on_behalf_of_sync};
pub(crate) use self::ledger::Place;
pub(crate) use self::limits::{Limits, Seat};
pub(crate) use self::recording::Recording;
pub(crate) use self::shutdown::deadline;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::ledger::{Ledger, Watcher};
use self::limits::{Admission, Turn};
use self::slow_poll::SlowPolls;
use self::spawned::{Spawned, WhilePresent};
use self::ticket::Ticket;
use crate::collect::{RequestTasks, scope};
use crate::one_line::OneLine;
use crate::task::{
    List, Progress, QueuedTask, RequestInfo, SkipReason, States, TaskFailure, TaskInfo,
};

/// A task that will end in one outcome, whatever happens: dropping it is an outcome too.
pub(crate) struct Accepted {
    pub(crate) queued: QueuedTask,
    ticket: Ticket,
    admission: Admission,
}

impl Accepted {
    pub(crate) fn has_seat(&self) -> bool {
        self.admission.has_seat()
    }

    pub(crate) fn take_seat(&self, seat: Seat) {
        self.admission.take_seat(seat);
    }
}

/// Joins the trace of a task to that of the place where it was made.
pub(crate) type SpanHook = Box<dyn Fn(&Span, &Span) + Send + Sync>;

/// What a `Background` is built with.
pub(crate) struct Settings {
    pub(crate) states: States,
    pub(crate) hooks: Hooks,
    pub(crate) on_span: Option<SpanHook>,
    pub(crate) limits: Limits,
    pub(crate) executor: Executor,
    pub(crate) slow_poll_threshold: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) recording: Option<Recording>,
}

/// How long a shutdown waits by default.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a poll may take by default before the task is said to block its thread.
pub(crate) const SLOW_POLL_THRESHOLD: Duration = Duration::from_millis(10);

/// The settings of a `Background` that was not configured. Its tasks may lack a state until they run.
impl Default for Settings {
    fn default() -> Self {
        Self {
            states: States::default(),
            hooks: Hooks::default(),
            on_span: None,
            limits: Limits::default(),
            executor: Executor::current(),
            slow_poll_threshold: SLOW_POLL_THRESHOLD,
            drain_timeout: DRAIN_TIMEOUT,
            recording: None,
        }
    }
}

/// What all handles of one `Background` share.
pub(crate) struct Runner {
    states: States,
    hooks: Hooks,
    on_span: Option<SpanHook>,
    limits: Limits,
    executor: Executor,
    slow_polls: SlowPolls,
    drain_timeout: Duration,
    ledger: Ledger,
    /// Of the testing kit: tasks are kept there instead of running.
    recording: Option<Recording>,
    /// When the shutdown that is under way ends.
    shutdown_deadline: watch::Sender<Option<Instant>>,
    /// Asks running tasks to stop, through their `TaskContext`.
    cancel: CancellationToken,
    spawned: Spawned,
    /// Ends the wait of a shutdown early.
    hurry: CancellationToken,
    shutdown: tokio::sync::OnceCell<ShutdownReport>,
}

impl Runner {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let Settings {
            states,
            hooks,
            on_span,
            limits,
            executor,
            slow_poll_threshold,
            drain_timeout,
            recording,
        } = settings;
        metrics::describe();
        Arc::new(Self {
            states,
            hooks,
            on_span,
            limits,
            executor,
            slow_polls: SlowPolls::new(slow_poll_threshold),
            drain_timeout,
            ledger: Ledger::default(),
            recording,
            shutdown_deadline: watch::Sender::new(None),
            cancel: CancellationToken::new(),
            spawned: Spawned::default(),
            hurry: CancellationToken::new(),
            shutdown: tokio::sync::OnceCell::new(),
        })
    }

    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.drain_timeout
    }

    pub(crate) fn recording(&self) -> Option<&Recording> {
        self.recording.as_ref()
    }

    /// Cancelled when running tasks are asked to stop.
    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    pub(crate) fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// Takes responsibility for a task. After a shutdown its outcome is `aborted`, at once. A task
    /// that a limit keeps out has its outcome then, too, and what is left of it is its name.
    pub(crate) fn accept(
        self: &Arc<Self>,
        queued: QueuedTask,
        request: Option<Arc<RequestInfo>>,
    ) -> Result<Accepted, TaskInfo> {
        self.accept_watched(queued, request, None)
    }

    fn accept_watched(
        self: &Arc<Self>,
        mut queued: QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
    ) -> Result<Accepted, TaskInfo> {
        let info = queued.info();
        self.announce_span(&mut queued, request.as_deref());
        match self.limits.admit(&info, || queued.key()) {
            Ok(admission) => {
                let ticket = Ticket::issue(self, &queued, request, watcher, admission.clone());
                Ok(Accepted {
                    queued,
                    ticket,
                    admission,
                })
            }
            Err(refusal) => {
                if let Some(recording) = &self.recording {
                    recording.note_skipped(&queued, &refusal);
                }
                self.refuse(&queued, request, watcher, refusal);
                Err(info)
            }
        }
    }

    /// Before anything happens in the span.
    fn announce_span(&self, queued: &mut QueuedTask, request: Option<&RequestInfo>) {
        if let Some(request) = request {
            queued.record_request(request);
        }
        let origin = queued.take_origin();
        if let Some(on_span) = &self.on_span {
            if let Err(panic) = crate::contain::contain(|| on_span(queued.span(), &origin)) {
                tracing::error!(
                    task.name = queued.info().name(),
                    panic = %OneLine(panic),
                    "`on_span` panicked"
                );
            }
        }
    }

    /// Accepts and skips a task that will never run, so that it is counted and reported like any
    /// other.
    pub(crate) fn skip(
        self: &Arc<Self>,
        mut queued: QueuedTask,
        request: Option<Arc<RequestInfo>>,
        reason: SkipReason,
    ) {
        self.announce_span(&mut queued, request.as_deref());
        let admission = Admission::default();
        let ticket = Ticket::issue(self, &queued, request, None, admission.clone());
        let accepted = Accepted {
            queued,
            ticket,
            admission,
        };
        accepted.skip(reason);
    }

    /// Runs a request's lists one after the other, when their turn has come. In the request's scope, so
    /// that its tasks can add tasks with `after_response` too.
    ///
    /// The response is out, so they may start on any thread.
    pub(crate) fn run_aside<const N: usize>(
        self: &Arc<Self>,
        request: Arc<RequestTasks>,
        mut lists: [List<Accepted>; N],
    ) {
        self.give_seats(&mut lists);
        let runner = self.clone();
        // Boxed, because it is large: tokio moves what it spawns a dozen times, and a list that waits
        // need not carry the space for it.
        match self.limits.line_up() {
            Turn::Now(slot) => {
                let run = Box::pin(runner.run_lists(lists, slot));
                self.spawn(scope::scoped(request, run));
            }
            Turn::Later(waiting) => {
                let lists = lists.into_iter().filter(|list| !list.is_empty());
                let lists = lists.collect::<Vec<_>>();
                let run = waiting
                    .come()
                    .then(|slot| Box::pin(runner.run_lists(lists, slot)));
                self.spawn(scope::scoped(request, run));
            }
        }
    }

    /// Every task that waits has a seat, if there is a limit to how many do.
    fn give_seats(&self, lists: &mut [List<Accepted>]) {
        for list in lists {
            list.for_each_mut(&mut |task| self.limits.seat(&task.admission));
        }
    }

    /// Runs one task now. The receiver gets its outcome.
    pub(crate) fn spawn_watched(self: &Arc<Self>, queued: QueuedTask) -> Watched {
        let (watcher, outcome) = oneshot::channel();
        let Ok(accepted) = self.accept_watched(queued, None, Some(watcher)) else {
            return Watched {
                outcome,
                abort: None,
                place: None,
            };
        };
        let place = accepted.ticket.place();
        if let Some(recording) = &self.recording {
            return Watched {
                outcome,
                abort: Some(Abort::Recorded(recording.record_spawned(accepted))),
                place: Some(place),
            };
        }
        self.limits.seat(&accepted.admission);
        let runner = self.clone();
        let run = |slot| Box::pin(runner.run_single(accepted, slot));
        let abort = match self.limits.line_up() {
            Turn::Now(slot) => self.spawn(run(slot)),
            Turn::Later(waiting) => self.spawn(waiting.come().then(run)),
        };
        Watched {
            outcome,
            abort: abort.map(Abort::Spawned),
            place: Some(place),
        }
    }

    /// Runs a future where tasks run, until it ends or a shutdown does. Where there is no runtime, the
    /// future is dropped, which every ticket in it counts and reports.
    fn spawn(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> Option<AbortHandle> {
        self.until_aborted(work, |work| self.executor.spawn(work))
    }

    /// Like [`spawn`](Self::spawn), for a wait on what the caller's runtime does: it must not be ahead
    /// of that when it is busy, as a thread for tasks would be.
    pub(crate) fn spawn_here(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        self.until_aborted(work, |work| self.executor.spawn_here(work));
    }

    fn until_aborted<F: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        work: F,
        spawn: impl FnOnce(WhilePresent<F>) -> Option<JoinHandle<()>>,
    ) -> Option<AbortHandle> {
        let (key, work) = Spawned::enter(self, work);
        let spawned = spawn(work);
        let abort = spawned.as_ref().map(JoinHandle::abort_handle);
        self.spawned.note(key, spawned);
        abort
    }

    fn runtime(&self) -> Option<Handle> {
        self.executor.runtime()
    }

    async fn wait_until(&self, due: Instant) {
        if self.recording.is_none() {
            tokio::time::sleep_until(due).await;
        } else {
            // A task that fails for ever must leave a test's own timeout a chance.
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn set_progress(&self, place: Place, progress: Progress) {
        self.ledger.set_progress(place, progress);
    }

    pub(crate) fn watch_progress(&self, place: Place) -> Option<watch::Receiver<Option<Progress>>> {
        self.ledger.watch_progress(place)
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
    pub(crate) abort: Option<Abort>,
    /// `None` for a task that was refused.
    pub(crate) place: Option<Place>,
}

/// The way to drop the future that runs a spawned task.
pub(crate) enum Abort {
    Spawned(AbortHandle),
    Recorded(CancellationToken),
}

impl Abort {
    pub(crate) fn abort(&self) {
        match self {
            Self::Spawned(task) => task.abort(),
            Self::Recorded(token) => token.cancel(),
        }
    }
}

/// See [`Runner::hold`].
pub(crate) struct Hold(Arc<Runner>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ledger.release_hold();
    }
}
