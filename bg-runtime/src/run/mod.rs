//! Running tasks: from an accepted task to its one outcome. Knows no request.
//!
//! ```text
//! accepted.rs ──> dispatch/ ──> order.rs, walk.rs ──> task.rs ──> begin.rs ──> attempt.rs
//!     │         to the executor       lists            one task    its waits    one run
//!     │         or to a test
//! settle.rs ──> ledger.rs ──> report/
//!  the duty      the books      one event, its sinks
//! ```
//!
//! All of these share the [`Runner`]: its parts are fields, and what the modules above may ask of it are
//! its methods. What a run consists of is functions, in the files that are named for it.
//!
//! # Sizes
//!
//! Futures are kept small, because one waits for each response and for each turn of a list. States that
//! most tasks never reach are boxed, with the comment "Rare, so boxed."; and a function whose arguments
//! an `async fn` would store twice returns an `async` block instead.
//!
//! # Locks
//!
//! Two locks are held at once only in this order: the turn to hand lists over; a list's or a request's
//! state, or a recording's tape; the state of the periods; the permits of a task; one of the others (the
//! books, the keys, the lines of rates, the excess of `max_pending`); the window of a rate, or what the handles
//! of a task share. Nothing is reported under any of them, because sinks run the user's code; and no waker is
//! woken, because it is the user's code as well.

mod abortable;
mod aborts;
mod accepted;
mod attempt;
mod begin;
#[cfg(feature = "durable")]
mod dead;
#[cfg(feature = "durable")]
mod detach_on_drop;
mod dispatch;
mod end_of_wait;
#[cfg(feature = "durable")]
mod enqueue;
mod executor;
mod global;
#[cfg(feature = "durable")]
mod held;
mod history;
mod ledger;
mod limits;
mod live;
mod next_run;
mod order;
mod outcome;
mod period;
mod places;
mod report;
mod run_state;
mod settle;
mod shutdown;
mod slow_poll;
mod stats;
#[cfg(feature = "durable")]
mod stored;
mod task;
mod task_handle;
mod unfinished;
#[cfg(feature = "durable")]
mod unstored;
mod walk;
#[cfg(feature = "durable")]
mod worker;

pub use self::limits::Overflow;
pub use self::live::{LiveTask, TaskState};
pub use self::shutdown::ShutdownReport;
pub use self::stats::Stats;
pub use self::task_handle::TaskHandle;
pub use self::unfinished::UnfinishedTask;

pub(crate) use self::accepted::{AcceptedTask, NotAccepted};
#[cfg(feature = "durable")]
pub(crate) use self::dead::DeadHook;
pub(crate) use self::dispatch::{Dispatch, Recording, replay};
pub(crate) use self::end_of_wait::end_of_wait;
pub(crate) use self::executor::Executor;
pub(crate) use self::global::{global, install_global, is_there_a_global};
pub(crate) use self::ledger::EntryKey;
pub(crate) use self::limits::{Limits, MAX_BLOCKING, PendingLimit, PendingPermit, Permits};
pub(crate) use self::period::{AlreadyShutDown, Serving};
pub(crate) use self::places::{Several, add_built, one_is_built, place};
pub(crate) use self::report::Hooks;
#[cfg(feature = "durable")]
pub(crate) use self::unstored::{KeptTasks, UnstoredTask};

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
#[cfg(feature = "durable")]
use std::time::SystemTime;

#[cfg(feature = "durable")]
use axum::response::Response;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use self::aborts::AbortRegistry;
#[cfg(feature = "durable")]
use self::detach_on_drop::DetachOnDrop;
use self::ledger::Ledger;
use self::limits::Denial;
use self::outcome::Outcome;
use self::period::Periods;
use self::settle::OutcomeGuard;
use self::slow_poll::SlowPolls;
#[cfg(feature = "durable")]
use self::worker::Worker;
use crate::contain::contain;
#[cfg(feature = "durable")]
use crate::durable::{EnqueueError, OpenStore, StartError, StoreTransaction};
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::scope::Scope;
use crate::task::{
    Arounds, BoxTask, Progress, RequestInfo, SkipReason, SourceOfStates, States, TaskFailure,
    TaskId, TaskList, Tracker,
};
#[cfg(feature = "durable")]
use crate::task::{durable_names, note_arounds};

/// The default of how long a shutdown waits.
pub(crate) const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The default of how long a poll may take before a warning says that the task blocks its thread.
pub(crate) const SLOW_POLL_THRESHOLD: Duration = Duration::from_millis(10);

/// Joins the trace of a task to the trace that it was made in. Called with both spans.
pub(crate) type SpanHook = Box<dyn Fn(&Span, &Span) + Send + Sync>;

/// Says what travels along with a task.
#[cfg(feature = "durable")]
pub(crate) type BaggageHook = Box<dyn Fn() -> crate::task::Baggage + Send + Sync>;

/// Chooses the response for a client whose tasks could not be stored.
#[cfg(feature = "durable")]
pub(crate) type NotStoredHook = Box<dyn Fn(&EnqueueError) -> Response + Send + Sync>;

/// The configuration of a `Background`.
pub(crate) struct Settings {
    pub(crate) states: States,
    pub(crate) hooks: Hooks,
    pub(crate) on_span: Option<SpanHook>,
    pub(crate) arounds: Arounds,
    pub(crate) limits: Limits,
    pub(crate) executor: Executor,
    pub(crate) dispatch: Dispatch,
    pub(crate) slow_poll_threshold: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) default_timeout: Option<Duration>,
    /// How many ended tasks stay readable.
    pub(crate) history: usize,
    /// Whether these are the settings of a builder.
    pub(crate) is_configured: bool,
    /// Where durable tasks are stored.
    #[cfg(feature = "durable")]
    pub(crate) store: Option<Arc<OpenStore>>,
    #[cfg(feature = "durable")]
    pub(crate) on_not_stored: Option<NotStoredHook>,
    #[cfg(feature = "durable")]
    pub(crate) on_dead: Option<DeadHook>,
    #[cfg(feature = "durable")]
    pub(crate) baggage: Option<BaggageHook>,
}

/// The settings of a `Background` that was not configured. Its tasks may lack a state until they run.
impl Default for Settings {
    fn default() -> Self {
        Self {
            states: States::default(),
            hooks: Hooks::default(),
            on_span: None,
            arounds: Arounds::default(),
            limits: Limits::default(),
            executor: Executor::current(),
            dispatch: Dispatch::Run,
            slow_poll_threshold: SLOW_POLL_THRESHOLD,
            drain_timeout: DRAIN_TIMEOUT,
            default_timeout: None,
            history: 0,
            is_configured: false,
            #[cfg(feature = "durable")]
            store: None,
            #[cfg(feature = "durable")]
            on_not_stored: None,
            #[cfg(feature = "durable")]
            on_dead: None,
            #[cfg(feature = "durable")]
            baggage: None,
        }
    }
}

/// The state that all handles of one `Background` share.
pub(crate) struct Runner {
    states: States,
    hooks: Hooks,
    on_span: Option<SpanHook>,
    /// `None` if there are none.
    arounds: Option<Arc<Arounds>>,
    limits: Limits,
    executor: Executor,
    dispatch: Dispatch,
    slow_polls: SlowPolls,
    ledger: Ledger,
    aborts: AbortRegistry,
    periods: Periods,
    default_timeout: Option<Duration>,
    is_configured: bool,
    /// `None` without a store.
    #[cfg(feature = "durable")]
    worker: Option<Worker>,
    /// Whether there are durable tasks, and they are stored.
    #[cfg(feature = "durable")]
    may_store: bool,
    #[cfg(feature = "durable")]
    on_not_stored: Option<NotStoredHook>,
    #[cfg(feature = "durable")]
    baggage: Option<BaggageHook>,
}

impl Runner {
    pub(crate) fn new(settings: Settings) -> Arc<Self> {
        let Settings {
            states,
            hooks,
            on_span,
            arounds,
            limits,
            executor,
            dispatch,
            slow_poll_threshold,
            drain_timeout,
            default_timeout,
            history,
            is_configured,
            #[cfg(feature = "durable")]
            store,
            #[cfg(feature = "durable")]
            on_not_stored,
            #[cfg(feature = "durable")]
            on_dead,
            #[cfg(feature = "durable")]
            baggage,
        } = settings;
        #[cfg(feature = "durable")]
        let may_store = dispatch.stores() && !durable_names().is_empty();
        #[cfg(feature = "durable")]
        if baggage.is_some() {
            note_arounds();
        }
        report::describe_metrics();
        Arc::new(Self {
            states,
            hooks,
            on_span,
            arounds: arounds.shared(),
            limits,
            executor,
            dispatch,
            slow_polls: SlowPolls::new(slow_poll_threshold),
            ledger: Ledger::new(history),
            aborts: AbortRegistry::default(),
            periods: Periods::new(drain_timeout),
            default_timeout,
            is_configured,
            #[cfg(feature = "durable")]
            worker: store.map(|store| Worker::new(store, on_dead)),
            #[cfg(feature = "durable")]
            may_store,
            #[cfg(feature = "durable")]
            on_not_stored,
            #[cfg(feature = "durable")]
            baggage,
        })
    }

    pub(crate) fn states(&self) -> &States {
        &self.states
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn stats(&self) -> Stats {
        self.ledger.stats()
    }

    /// Returns how a task that misses a state could have got it.
    pub(crate) fn source_of_states(&self) -> SourceOfStates {
        self.dispatch.source_of_states(self.is_configured)
    }

    /// Returns whether a response may have to wait until tasks of it are stored.
    #[inline]
    pub(crate) fn may_store(&self) -> bool {
        #[cfg(feature = "durable")]
        return self.may_store;
        #[cfg(not(feature = "durable"))]
        false
    }

    /// Returns whether a request's lists wait until its response has been sent.
    pub(crate) fn waits_for_sending(&self) -> bool {
        self.dispatch.waits_for_sending()
    }

    /// Accepts a task, which then has exactly one outcome: after a drain or a shutdown, at once.
    /// A task that a limit does not let in is settled at once as well.
    pub(crate) fn accept(
        self: &Arc<Self>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
    ) -> Result<AcceptedTask, NotAccepted> {
        let tracker = task.take_tracker();
        self.accept_for(task, request, tracker)
    }

    /// Like [`accept`](Self::accept), with what the task's handle watches.
    fn accept_for(
        self: &Arc<Self>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
        tracker: Option<Tracker>,
    ) -> Result<AcceptedTask, NotAccepted> {
        let info = task.info();
        self.prepare_span(&mut task, request.as_deref());
        #[cfg(feature = "durable")]
        if !task.is_durable() {
            Self::warn_of_store_options(&task);
        } else {
            // Only a test runs it without a store.
            task = match task.round_trip() {
                Ok(task) => task,
                Err((task, error)) => {
                    let outcome = Outcome::NotStored(error);
                    settle::end_unaccepted(self, task, request, tracker, outcome);
                    return Err(NotAccepted::Ignored);
                }
            };
        }
        self.capture(&mut task);
        if let Some(expires) = task.expires() {
            task.options_mut().expires_at = Some(end_of_wait(Instant::now(), expires));
        }
        let replace = |entry| {
            let outcome = Outcome::Skipped(SkipReason::Replaced);
            settle::settle(self, entry, outcome);
        };
        match self.limits.admit(&info, || task.key(), replace) {
            Ok(permits) => {
                let guard = OutcomeGuard::new(self, &task, request, tracker, permits.clone());
                if !permits.enter(guard.key()) {
                    replace(guard.key());
                }
                Ok(AcceptedTask::new(task, guard, permits))
            }
            Err(denial) => {
                let not_accepted = match &denial {
                    Denial::Refused(refusal) => {
                        self.dispatch.note_skipped(&task, refusal);
                        NotAccepted::Refused(info)
                    }
                    Denial::Duplicate => {
                        self.dispatch.note_skipped(&task, &SkipReason::Duplicate);
                        NotAccepted::Ignored
                    }
                };
                settle::deny(self, task, request, tracker, denial);
                Err(not_accepted)
            }
        }
    }

    /// Accepts and skips a task that will never run, so that it is counted and reported like any
    /// other.
    pub(crate) fn skip(
        self: &Arc<Self>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
        reason: SkipReason,
    ) {
        self.prepare_span(&mut task, request.as_deref());
        let permits = Permits::default();
        let tracker = task.take_tracker();
        let guard = OutcomeGuard::new(self, &task, request, tracker, permits.clone());
        AcceptedTask::new(task, guard, permits).skip(reason);
    }

    /// Captures for a task what surrounds the calling code, unless that was done before. When a task is
    /// accepted, at the latest: one that comes with a response is accepted outside of its handler.
    pub(crate) fn capture(&self, task: &mut BoxTask) {
        #[cfg(feature = "durable")]
        self.capture_baggage(task);
        if let Some(arounds) = &self.arounds {
            task.capture(arounds);
        }
    }

    /// Completes a task's span before anything is recorded in it.
    fn prepare_span(&self, task: &mut BoxTask, request: Option<&RequestInfo>) {
        if let Some(request) = request {
            task.record_request(request);
        }
        // Taken even without a hook: the task must not keep the span open in which it was made.
        let origin = task.take_origin();
        if let Some(on_span) = &self.on_span {
            if let Err(panic) = contain(|| on_span(task.span(), &origin)) {
                tracing::error!(
                    target: RUNTIME,
                    {
                        task.name = task.info().name(),
                        panic = %OneLine(panic),
                    },
                    "`on_span` panicked"
                );
            }
        }
    }

    /// Runs a request's lists one after the other, in the request's scope.
    pub(crate) fn run<const N: usize>(
        self: &Arc<Self>,
        scope: Scope,
        lists: [TaskList<AcceptedTask>; N],
    ) {
        self.dispatch.lists(self, scope, lists);
    }

    /// Runs tasks that were added while their response's body was being sent, if those
    /// [do not wait](Self::waits_for_sending) for its end.
    pub(crate) fn run_late(self: &Arc<Self>, scope: Scope, part: TaskList<AcceptedTask>) {
        self.dispatch.late(self, scope, part);
    }

    /// Accepts and runs one task.
    pub(crate) fn spawn_task(self: &Arc<Self>, task: BoxTask) -> TaskHandle {
        let (handle, tracker) = TaskHandle::track(&task);
        #[cfg(feature = "durable")]
        if self.stores(&task) {
            let denial = Denial::Refused(limits::Refusal::Durable);
            settle::deny(self, task, None, Some(tracker), denial);
            return handle;
        }
        if let Ok(accepted) = self.accept_for(task, None, Some(tracker)) {
            self.dispatch.single(self, accepted);
        }
        handle
    }

    /// Settles a task from its handle.
    pub(crate) fn abort_task(self: &Arc<Self>, key: EntryKey) {
        settle::abort(self, key);
    }

    pub(crate) fn set_progress(&self, key: EntryKey, progress: Progress) {
        self.ledger.set_progress(key, progress);
    }

    /// Returns a handle to a task that has no outcome yet.
    pub(crate) fn handle(self: &Arc<Self>, id: TaskId) -> Option<TaskHandle> {
        let (tracked, entry) = self.ledger.track(id)?;
        if let Some(entry) = entry {
            tracked.queue(self, entry);
        }
        Some(TaskHandle::new(tracked))
    }

    pub(crate) fn outcome(&self, id: TaskId) -> Option<Result<(), TaskFailure>> {
        self.ledger.outcome(id)
    }

    pub(crate) fn live(&self) -> Vec<LiveTask> {
        self.ledger.live()
    }

    /// Returns how long one run of the task may take. [`Duration::MAX`] is how a task says that it has no
    /// timeout.
    fn timeout_of(&self, task: &BoxTask) -> Option<Duration> {
        let timeout = task.timeout().or(self.default_timeout);
        timeout.filter(|timeout| *timeout != Duration::MAX)
    }

    /// Makes sure that each task of the lists holds a permit to wait, if `max_pending` is set.
    fn ensure_pending(&self, lists: &mut [TaskList<AcceptedTask>]) {
        for list in lists {
            list.for_each_mut(&mut |accepted| self.limits.ensure_pending(&accepted.permits));
        }
    }

    /// Spawns a future where tasks run, until it ends or a shutdown does. Without a runtime the future
    /// is dropped, and the guards in it settle their tasks.
    fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        // The model checker's executor gives no handle to abort a future by.
        #[cfg(all(shuttle, feature = "durable"))]
        {
            let work = AbortRegistry::own(self, work);
            self.executor.spawn(async move {
                let _aborted = work.await;
            });
        }
        #[cfg(not(all(shuttle, feature = "durable")))]
        AbortRegistry::spawn(self, work, |work| self.executor.spawn(work));
    }

    /// Like [`spawn`](Self::spawn), on the caller's runtime: for a wait on what that runtime does, so
    /// that it queues behind the server's own work.
    pub(crate) fn spawn_here(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        AbortRegistry::spawn(self, work, |work| self.executor.spawn_here(work));
    }

    /// Has a future run where it is awaited, and by itself once that is given up.
    #[cfg(feature = "durable")]
    pub(crate) fn detach_on_drop(
        self: &Arc<Self>,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> DetachOnDrop {
        DetachOnDrop::new(self, work)
    }

    /// Keeps a shutdown waiting while the guard lives, for work that is not a task itself.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.ledger.hold();
        Hold::adopt(self)
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        self.periods.drain_timeout
    }

    /// Begins to serve: see [`Serving`].
    pub(crate) async fn begin_serving(self: &Arc<Self>) -> Result<Serving, AlreadyShutDown> {
        Serving::begin(self).await
    }

    /// Ends a server, whose connections have ended. The last one drains the tasks.
    pub(crate) async fn end_serving(
        self: &Arc<Self>,
        serving: Serving,
        deadline: Instant,
    ) -> ShutdownReport {
        shutdown::end_serving(self, serving, deadline).await
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.periods.is_shut_down()
    }

    /// Returns a token that is cancelled when running tasks are asked to stop. `signals` is the number of
    /// the signals that there were when the run began.
    pub(crate) fn cancellation(&self, signals: u64) -> CancellationToken {
        self.periods.cancellation(signals)
    }

    /// Returns a token that is cancelled when the shutdown begins. `signals` as in
    /// [`cancellation`](Self::cancellation).
    pub(crate) fn stopping(&self, signals: u64) -> CancellationToken {
        self.periods.stopping(signals)
    }

    /// Returns the number of the signals that there are now.
    pub(crate) fn signals(&self) -> u64 {
        self.periods.number()
    }

    /// Waits for all tasks until `deadline`, asks those left to stop, and aborts those that do not.
    pub(crate) async fn shut_down(self: &Arc<Self>, deadline: Instant) -> ShutdownReport {
        shutdown::shut_down(self, deadline).await
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// See [`Runner::hold`].
pub(crate) struct Hold(Arc<Runner>);

impl Hold {
    /// Takes over a hold that the books have counted already. They count it under the same lock under
    /// which a task leaves them, so that a shutdown never finds them idle before the task is reported.
    fn adopt(runner: &Arc<Runner>) -> Self {
        Self(runner.clone())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.ledger.release_hold();
    }
}

/// The tasks that are stored.
#[cfg(feature = "durable")]
impl Runner {
    pub(crate) fn store(&self) -> Option<&Arc<OpenStore>> {
        Some(self.worker.as_ref()?.store())
    }

    /// Returns whether a task goes to the store rather than to the executor.
    #[inline]
    pub(crate) fn stores(&self, task: &BoxTask) -> bool {
        task.is_durable() && self.dispatch.stores()
    }

    /// Takes a durable task, which then ends in exactly one outcome: here, if it is not stored.
    pub(crate) fn take_unstored(
        self: &Arc<Self>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
    ) -> UnstoredTask {
        self.prepare_span(&mut task, request.as_deref());
        self.capture_baggage(&mut task);
        UnstoredTask::new(self.clone(), task, request)
    }

    /// Stores tasks, all or none, but for those of which there are enough. Returns them for the caller to settle.
    pub(crate) async fn store_all(
        &self,
        tasks: Vec<UnstoredTask>,
    ) -> Result<KeptTasks, (EnqueueError, Vec<UnstoredTask>)> {
        unstored::store_all(self, None, tasks).await
    }

    /// Returns until when tasks of a response are held that are stored now. `None` if they are not held.
    pub(crate) fn hold_until(&self) -> Option<SystemTime> {
        let store = self.store()?;
        let holds = store.settings().hold_until_sent;
        holds.then(|| held::held_until(store))
    }

    /// Keeps stored tasks held until they are [released](Self::release_held). Each comes with when it is due by itself.
    pub(crate) fn hold_stored(self: &Arc<Self>, tasks: Vec<(TaskId, Option<SystemTime>)>) {
        if let Some(worker) = &self.worker {
            held::hold(self, &worker.held, worker.store(), tasks);
        }
    }

    /// Lets tasks start whose response has been sent.
    pub(crate) fn release_held(&self, tasks: &[TaskId]) {
        if let Some(worker) = &self.worker {
            held::release(&worker.held, tasks);
        }
    }

    /// Stores tasks that belong to no request. Nothing is reported: the caller does that.
    pub(crate) async fn enqueue(
        self: &Arc<Self>,
        transaction: Option<StoreTransaction<'_>>,
        tasks: Vec<BoxTask>,
    ) -> Result<Vec<Result<TaskId, EnqueueError>>, EnqueueError> {
        unstored::enqueue(self, transaction, tasks).await
    }

    /// Makes the store ready, if there is one, and begins to take tasks from it.
    pub(crate) async fn begin_working(self: &Arc<Self>) -> Result<(), StartError> {
        worker::begin_working(self).await
    }

    /// Has what the application says travel along with a task, unless that was said before.
    fn capture_baggage(&self, task: &mut BoxTask) {
        let Some(hook) = &self.baggage else { return };
        let options = task.options();
        if options.baggage.is_some() || options.is_claimed {
            return;
        }
        match contain(hook) {
            Ok(baggage) => task.options_mut().baggage = Some(Arc::new(baggage)),
            Err(panic) => tracing::error!(
                target: RUNTIME,
                {
                    task.name = task.info().name(),
                    panic = %OneLine(panic),
                },
                "`baggage` panicked, and the task travels without"
            ),
        }
    }

    /// Says so if a task that is not stored was told what only a store does.
    fn warn_of_store_options(task: &BoxTask) {
        if task.options().are_for_a_store() {
            tracing::error!(
                target: RUNTIME,
                {
                    task.name = task.info().name(),
                    task.file = task.info().file(),
                    task.line = task.info().line(),
                },
                "`unique`, `queue` and `queue_priority` have no effect on a task that is not durable"
            );
        }
    }

    /// Accepts a task that a worker has taken from its store.
    fn accept_claimed(
        self: &Arc<Self>,
        mut task: BoxTask,
        request: Option<Arc<RequestInfo>>,
        tracker: Tracker,
    ) -> AcceptedTask {
        self.prepare_span(&mut task, request.as_deref());
        self.capture(&mut task);
        let permits = self.limits.admit_claimed(&task.info(), || task.key());
        let guard = OutcomeGuard::new(self, &task, request, Some(tracker), permits.clone());
        permits.enter(guard.key());
        AcceptedTask::new(task, guard, permits)
    }

    /// Returns the response for a client whose tasks could not be stored, if the application chooses one.
    pub(crate) fn on_not_stored(&self, error: &EnqueueError) -> Option<Response> {
        let chosen = contain(|| self.on_not_stored.as_ref().map(|choose| choose(error)));
        chosen.unwrap_or_else(|panic| {
            tracing::error!(target: RUNTIME, panic = %OneLine(panic), "`on_not_stored` panicked");
            None
        })
    }
}

/// For the scenarios of the model checker alone: see `interleavings`.
#[cfg(all(test, shuttle))]
impl Runner {
    /// Like [`run`](Self::run), but in the caller's own future.
    pub(crate) fn run_here<const N: usize>(
        self: &Arc<Self>,
        mut lists: [TaskList<AcceptedTask>; N],
    ) -> impl Future<Output = ()> + Send + use<N> {
        self.ensure_pending(&mut lists);
        let (runner, turn) = (self.clone(), self.limits.line_up());
        async move { order::run_lists(runner, lists, turn.wait().await).await }
    }

    pub(crate) fn close_books(self: &Arc<Self>) {
        self.ledger.close(period::Closed::ForGood);
        settle::settle_rest(self);
    }

    pub(crate) async fn idle(&self) {
        self.ledger.idle().await;
    }

    /// Ends a server whose time is up, without the waits of a drain, which need a clock. `None` if others
    /// run.
    pub(crate) async fn end_serving_now(mut serving: Serving) -> Option<ShutdownReport> {
        let now = Instant::now();
        serving.stop(now);
        match serving.leave(now) {
            period::Leave::OthersRun => None,
            period::Leave::Drain(mut guard) => {
                guard.tell_tasks();
                guard.give_up();
                drop(shutdown::abort_futures(&mut guard));
                guard.runner().ledger.idle().await;
                Some(shutdown::end_period(*guard, Duration::ZERO))
            }
            period::Leave::Later { .. } => unreachable!("no shutdown is under way"),
        }
    }

    pub(crate) fn report_so_far(&self) -> ShutdownReport {
        self.ledger.report_so_far()
    }

    /// Takes tasks from the store until the server is told to stop, and everything that ran is recorded.
    #[cfg(feature = "durable")]
    pub(crate) fn work_here(self: &Arc<Self>) -> impl Future<Output = ()> + use<> {
        worker::work_here(self)
    }

    /// Aborts the task of this id, as its handle does, if it is in the books.
    #[cfg(feature = "durable")]
    pub(crate) fn abort_stored(self: &Arc<Self>, task: TaskId) -> bool {
        let open = self.ledger.track(task).and_then(|(_, open)| open);
        if let Some(key) = open {
            self.abort_task(key);
        }
        open.is_some()
    }
}
