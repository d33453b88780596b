use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "durable")]
use axum::response::IntoResponse;
use tracing::Span;

use super::Background;
use super::build_error::{BuildError, Problem};
#[cfg(feature = "durable")]
use super::stores::Stores;
#[cfg(feature = "durable")]
use crate::durable::{EnqueueError, Store, TaskStatus};
#[cfg(feature = "durable")]
use crate::run::{BaggageHook, DeadHook, NotStoredHook};
use crate::run::{
    DRAIN_TIMEOUT, Dispatch, Executor, Hooks, Limits, MAX_BLOCKING, Overflow, Recording,
    SLOW_POLL_THRESHOLD, Settings, SpanHook, add_built,
};
use crate::task::{
    Arounds, MissingState, SourceOfStates, State, States, StatesBuilder, TaskContext, TaskFailure,
    TaskInfo, TaskResult, TaskRun, registered_tasks,
};

/// Configures a [`Background`].
#[must_use = "a builder does nothing until `build()`"]
pub struct BackgroundBuilder {
    states: StatesBuilder,
    hooks: Hooks,
    on_span: Option<SpanHook>,
    arounds: Arounds,
    max_concurrent: Option<usize>,
    max_pending: Option<(usize, Overflow)>,
    max_blocking: usize,
    isolated: Option<usize>,
    slow_poll_threshold: Duration,
    drain_timeout: Duration,
    default_timeout: Option<Duration>,
    history: usize,
    #[cfg(feature = "durable")]
    stores: Stores,
    #[cfg(feature = "durable")]
    on_not_stored: Option<NotStoredHook>,
    #[cfg(feature = "durable")]
    on_dead: Option<DeadHook>,
    #[cfg(feature = "durable")]
    baggage: Option<BaggageHook>,
}

impl BackgroundBuilder {
    pub(super) fn new() -> Self {
        Self {
            states: StatesBuilder::default(),
            hooks: Hooks::default(),
            on_span: None,
            arounds: Arounds::default(),
            max_concurrent: None,
            max_pending: None,
            max_blocking: MAX_BLOCKING,
            isolated: None,
            slow_poll_threshold: SLOW_POLL_THRESHOLD,
            drain_timeout: DRAIN_TIMEOUT,
            default_timeout: None,
            history: 0,
            #[cfg(feature = "durable")]
            stores: Stores::default(),
            #[cfg(feature = "durable")]
            on_not_stored: None,
            #[cfg(feature = "durable")]
            on_dead: None,
            #[cfg(feature = "durable")]
            baggage: None,
        }
    }

    /// Provides a state to the tasks that have a `#[state]` parameter of its type. A second state of the
    /// same type is an error of [`build`](Self::build).
    #[track_caller]
    pub fn state<T: State>(mut self, state: T) -> Self {
        self.states.insert(state, Location::caller());
        self
    }

    /// Adds an error hook: a function that is called for every task that does not succeed, because it
    /// failed, panicked, timed out, was aborted, was rejected by a limit, or was skipped because of its
    /// request.
    ///
    /// It is also called for each failed run that is followed by another; then
    /// [`TaskFailure::will_retry`] returns `true`.
    ///
    /// It is called where the outcome is known, after the failure is logged and after the task's own
    /// `on_error`, and should not block. A panic in it is caught, and logged beside the failure. It may
    /// queue tasks; their failures are logged and not reported to hooks, because a hook whose task fails
    /// would otherwise be called for ever.
    ///
    /// A hook does not replace the log: see [`log_failures`](Self::log_failures).
    pub fn on_error(mut self, hook: impl Fn(&TaskFailure) + Send + Sync + 'static) -> Self {
        self.hooks.push_sync(hook);
        self
    }

    /// Adds an async error hook: see [`on_error`](Self::on_error).
    ///
    /// It runs concurrently with the other tasks of the list. A shutdown waits for it as for a task, and
    /// for another second after aborting the tasks that are left; it is never aborted itself.
    pub fn on_error_async<F>(
        mut self,
        hook: impl Fn(TaskFailure) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push_async(hook);
        self
    }

    /// Sets whether each failure is a `tracing` event, which it is by default, with or without hooks.
    ///
    /// The event is of level `ERROR`; of level `WARN` for a run that is followed by another and for a task
    /// that a limit refuses; and of level `INFO` for a task that is skipped because of an error response
    /// or a client that went away. Its target is `bg_runtime::failure`.
    ///
    /// With `false`, what a hook hears about is not logged. A failure of which no hook hears is logged even
    /// so: if each of the hooks panicked, if there was no runtime for an async one, or if a hook queued the
    /// task. Without any hook, neither the task's own `on_error` nor one given here, `false` leaves failures
    /// to the counts and to [`TaskHandle`](crate::TaskHandle)s.
    pub fn log_failures(mut self, log_failures: bool) -> Self {
        self.hooks.set_log_failures(log_failures);
        self
    }

    /// Joins the traces of tasks to those of their requests, for tracers that know spans of their own.
    ///
    /// The function is called once for each task, when it is queued, before its span is entered: with
    /// the task's span, and with the one that was current where the task was made, most often the
    /// request's. The task's span follows from that one already; it is not its child, which would keep
    /// the request's span open until the task ends. A panic in the function is caught and logged. A second
    /// call replaces the function. With `tracing-opentelemetry`, this carries the request's trace over to
    /// its tasks:
    ///
    /// ```ignore
    /// Background::builder().on_span(|task, origin| {
    ///     let _ = task.set_parent(origin.context());
    /// })
    /// ```
    pub fn on_span(mut self, hook: impl Fn(&Span, &Span) + Send + Sync + 'static) -> Self {
        self.on_span = Some(Box::new(hook));
        self
    }

    /// Surrounds each run of each task with what surrounded the code that queued it: a task-local, the fields of a
    /// span, a hub of Sentry's. The page [surroundings](crate::guide::surroundings) has a recipe for each.
    ///
    /// `capture` is called where the task is queued: where it is spawned, or added to a list in a request, or
    /// where its list is attached. `around` is called when a run begins, with a clone of what was captured, and
    /// returns the future that is run instead: most often `run` inside of something. Its result is that of the
    /// run, its time counts towards the timeout, and dropping it drops the run. A run that is not polled does not
    /// happen, though the task may succeed.
    ///
    /// Of several, the first is the outermost. For a synchronous task (a plain `fn`), this surrounds the wait
    /// for its thread: see [`around_blocking`](Self::around_blocking). Error hooks are not surrounded.
    ///
    /// If `capture` panics, the task does not run: it fails with that panic, because what surrounds it may be
    /// what keeps one client's data from another. If `around` panics, that is a panic of the task.
    ///
    /// ```standalone_crate
    /// use bg_runtime::{Background, background_task};
    ///
    /// tokio::task_local! {
    ///     static TENANT: String;
    /// }
    ///
    /// #[background_task]
    /// async fn count_order() -> Result<(), &'static str> {
    ///     match TENANT.with(String::clone).as_str() {
    ///         "acme" => Ok(()),
    ///         _ => Err("another tenant"),
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let background = Background::builder()
    ///     .around(
    ///         || TENANT.try_with(String::clone).unwrap_or_default(),
    ///         |tenant, _cx, run| TENANT.scope(tenant, run),
    ///     )
    ///     .build()?;
    /// let handle = TENANT.sync_scope("acme".to_owned(), || background.spawn(CountOrder));
    /// handle.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn around<C, F>(
        mut self,
        capture: impl Fn() -> C + Send + Sync + 'static,
        around: impl Fn(C, TaskContext, TaskRun) -> F + Send + Sync + 'static,
    ) -> Self
    where
        C: Clone + Send + Sync + 'static,
        F: Future<Output = TaskResult> + Send + 'static,
    {
        self.arounds.push(capture, around);
        self
    }

    /// Surrounds the work of each synchronous task on its thread, as [`around`](Self::around) does a future:
    /// `around` is called on that thread, and calls `run`.
    ///
    /// It has no effect on `async` tasks.
    ///
    /// ```standalone_crate
    /// use bg_runtime::{Background, background_task};
    ///
    /// tokio::task_local! {
    ///     static TENANT: String;
    /// }
    ///
    /// #[background_task]
    /// fn count_order() {
    ///     assert_eq!(TENANT.with(String::clone), "acme");
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let background = Background::builder()
    ///     .around_blocking(
    ///         || TENANT.try_with(String::clone).unwrap_or_default(),
    ///         |tenant, _cx, run| TENANT.sync_scope(tenant, run),
    ///     )
    ///     .build()?;
    /// let handle = TENANT.sync_scope("acme".to_owned(), || background.spawn(CountOrder));
    /// handle.await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn around_blocking<C>(
        mut self,
        capture: impl Fn() -> C + Send + Sync + 'static,
        around: impl Fn(C, TaskContext, Box<dyn FnOnce() -> TaskResult + Send>) -> TaskResult
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        C: Clone + Send + Sync + 'static,
    {
        self.arounds.push_blocking(capture, around);
        self
    }

    /// Limits how many lists of tasks run at once: those of a request, or a single task that was spawned.
    /// Others wait, in order. No limit by default.
    ///
    /// A list runs its tasks one after the other, so this bounds the tasks that run at once, too; each
    /// item of a [`concurrent`](crate::BackgroundTasks::concurrent) list counts as a list of its own. A
    /// list whose task waits (for a delay, another run, or a limit of its own) lets others run meanwhile.
    /// A task that itself waits for another task keeps its slot, and may wait for ever.
    pub fn max_concurrent(mut self, lists: usize) -> Self {
        self.max_concurrent = Some(lists);
        self
    }

    /// Limits how many tasks may wait to run, and sets what happens to tasks beyond that. No limit by
    /// default.
    ///
    /// A task waits from the moment it is queued (with [`Overflow::Wait`], from the moment its response
    /// is ready) until it runs, and again between two runs.
    pub fn max_pending(mut self, tasks: usize, overflow: Overflow) -> Self {
        self.max_pending = Some((tasks, overflow));
        self
    }

    /// Limits how many synchronous tasks (a plain `fn`, or [`named_blocking`](crate::named_blocking)) run at
    /// once. Others wait, in order. 128 by default.
    ///
    /// They run on the blocking pool of the runtime, which has 512 threads by default and serves files,
    /// name resolution and `spawn_blocking` as well: tasks that took all of them would hold up responses. On
    /// a runtime with fewer (`max_blocking_threads`), set a limit below that.
    ///
    /// A thread counts until it ends, even if its task was aborted or has timed out.
    pub fn max_blocking(mut self, tasks: usize) -> Self {
        self.max_blocking = tasks;
        self
    }

    /// Runs tasks on `threads` threads of their own, named `background-task`, instead of on the runtime
    /// that serves requests. Off by default.
    ///
    /// A task that blocks its thread can then never hold up a response. The price is a wake-up across
    /// threads for each list, some microseconds. Synchronous tasks get a blocking pool of their own as
    /// well. The threads end with the last handle of this `Background` and its last task; the end of the process
    /// does not wait for them, so drain the tasks before.
    pub fn isolated(mut self, threads: usize) -> Self {
        self.isolated = Some(threads);
        self
    }

    /// Sets how long one poll of a task may take before a warning says, once for each task name, that the
    /// task blocks its thread. 10 ms by default; [`Duration::MAX`] turns the warning off.
    pub fn slow_poll_threshold(mut self, threshold: Duration) -> Self {
        self.slow_poll_threshold = threshold;
        self
    }

    /// Sets how long a shutdown waits for connections and tasks before it asks tasks to stop. 30 seconds by
    /// default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// Sets how long one run of a task may take that sets no timeout of its own, neither where it is declared
    /// nor with [`.timeout(..)`](crate::TaskExt::timeout). No limit by default.
    ///
    /// It is for one-off tasks as well. A task that may take any time says so with a timeout of
    /// [`Duration::MAX`].
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.default_timeout = Some(timeout);
        self
    }

    /// Sets how many ended tasks stay readable through [`Background::outcome`], the latest. None by default.
    ///
    /// One that succeeded takes some 100 bytes. One that did not keeps its [`TaskFailure`], with its error and
    /// its arguments.
    pub fn history(mut self, tasks: usize) -> Self {
        self.history = tasks;
        self
    }

    /// Gives the store of durable tasks: `Sqlite::file(..)`, `Postgres::url(..)`, or in tests
    /// [`Memory`](crate::testing::Memory).
    ///
    /// Building the `Background` connects to nothing. [`serve`](Background::serve), [`work`](Background::work) and
    /// [`start`](Background::start) do, bring the tables up to date, and take tasks from the store. Where none of
    /// these was called, the first task that is stored connects.
    #[cfg(feature = "durable")]
    pub fn durable(mut self, store: impl Into<Store>) -> Self {
        self.stores.push(store.into());
        self
    }

    /// Chooses the response for a client whose request has durable tasks that could not be stored. By default it is
    /// [`EnqueueError`]'s: 503 with an empty body where the store is the reason, with `Retry-After: 5` if the method is
    /// idempotent.
    ///
    /// What the handler did stays done. Its own response is dropped, and the tasks of the request that are not durable
    /// see the status of this one: they are skipped if it is an error. A panic in the function is logged, and the
    /// default is sent. A second call replaces the function.
    #[cfg(feature = "durable")]
    pub fn on_not_stored<R: IntoResponse>(
        mut self,
        choose: impl Fn(&EnqueueError) -> R + Send + Sync + 'static,
    ) -> Self {
        self.on_not_stored = Some(Box::new(move |error| choose(error).into_response()));
        self
    }

    /// Has a small map of text travel along with each task, for [`TaskContext::baggage`] where it runs, which may be
    /// another process: the tenant, a trace id.
    ///
    /// The function is called where the task is queued. A durable task with more than 8 KiB of it is not stored. It is
    /// stored in clear, and shown by whatever shows the store. A panic is logged, and the task travels without. A second
    /// call replaces the function.
    ///
    /// What [`around`](Self::around) captures does not travel: of a durable task, its `capture` is called in the worker.
    #[cfg(feature = "durable")]
    pub fn baggage<M>(mut self, pack: impl Fn() -> M + Send + Sync + 'static) -> Self
    where
        M: IntoIterator<Item = (String, String)>,
    {
        self.baggage = Some(Box::new(move || pack().into_iter().collect()));
        self
    }

    /// Sets what is told of each durable task that ends as [dead](crate::durable::StoredState::Dead): its last run
    /// failed, its arguments could not be read for a day, or it lost its worker too often.
    ///
    /// Of each it is told at least once, in one of the processes that work on the store and have this, also of one
    /// that has died in another or with its worker; of all that are dead and not told of yet when it is first set. A
    /// process that is killed while it tells has another tell again. A task that is retried and dies again is told of
    /// again. A panic is logged, and counts as told.
    ///
    /// For each run that fails, in the process in which it does, there is [`on_error`](Self::on_error). A second call
    /// replaces the function.
    #[cfg(feature = "durable")]
    pub fn on_dead<F>(mut self, tell: impl Fn(TaskStatus) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.on_dead = Some(Box::new(move |task| Box::pin(tell(task))));
        self
    }

    /// Builds the `Background`.
    ///
    /// # Errors
    ///
    /// Returns every problem at once: each name that two registered tasks share, each state that a
    /// registered task needs and that was not given, each type of which two states were given, and each
    /// limit and default timeout of zero. If there is none of these, returns an error if the threads of
    /// [`isolated`](Self::isolated) could not be started.
    pub fn build(self) -> Result<Background, BuildError> {
        let isolated = self.isolated;
        let mut settings = self.settings()?;
        if let Some(threads) = isolated {
            settings.executor = Executor::isolated(threads)
                .map_err(|error| BuildError::new(vec![Problem::Threads(Arc::new(error))]))?;
        }
        let background = Background::with_settings(settings);
        add_built(background.runner());
        Ok(background)
    }

    /// Builds a `Background` that records its tasks. It has no threads of its own, because tasks run where
    /// the test awaits them; and no response waits for room, because recorded tasks would never make any.
    pub(crate) fn build_recording(
        #[cfg_attr(
            not(feature = "durable"),
            expect(unused_mut, reason = "as with durable tasks")
        )]
        mut self,
        recording: Arc<Recording>,
    ) -> Result<Background, BuildError> {
        #[cfg(feature = "durable")]
        self.stores.record();
        let settings = self.settings()?;
        Ok(Background::with_settings(Settings {
            limits: settings.limits.without_waiting(),
            dispatch: Dispatch::Record(recording),
            ..settings
        }))
    }

    /// Validates what was configured, and returns it with the executor of the current runtime.
    fn settings(self) -> Result<Settings, BuildError> {
        let tasks = registered_tasks();
        let mut problems: Vec<Problem> = duplicate_names(&tasks).collect();
        #[cfg(feature = "durable")]
        problems.extend(old_names_taken(&tasks));
        #[cfg(feature = "durable")]
        problems.extend(self.stores.problems(&tasks));
        let (states, twice) = self.states.finish();
        #[cfg(feature = "durable")]
        let tasks = self.stores.run_here(tasks);
        problems.extend(missing_states(&tasks, &states));
        problems.extend(twice.into_iter().map(Problem::StateTwice));
        let limits = [
            ("max_concurrent", self.max_concurrent),
            ("max_pending", self.max_pending.map(|(tasks, _)| tasks)),
            ("max_blocking", Some(self.max_blocking)),
            ("isolated", self.isolated),
        ];
        problems.extend(zeros(limits).map(|setting| Problem::Zero { setting }));
        if self.default_timeout == Some(Duration::ZERO) {
            problems.push(Problem::ZeroTimeout);
        }
        if !problems.is_empty() {
            return Err(BuildError::new(problems));
        }
        Ok(Settings {
            states,
            hooks: self.hooks,
            on_span: self.on_span,
            arounds: self.arounds,
            limits: Limits::new(self.max_concurrent, self.max_pending)
                .with_max_blocking(self.max_blocking),
            slow_poll_threshold: self.slow_poll_threshold,
            drain_timeout: self.drain_timeout,
            default_timeout: self.default_timeout,
            history: self.history,
            is_configured: true,
            #[cfg(feature = "durable")]
            store: self.stores.open(),
            #[cfg(feature = "durable")]
            on_not_stored: self.on_not_stored,
            #[cfg(feature = "durable")]
            on_dead: self.on_dead,
            #[cfg(feature = "durable")]
            baggage: self.baggage,
            ..Settings::default()
        })
    }
}

fn zeros<const N: usize>(
    limits: [(&'static str, Option<usize>); N],
) -> impl Iterator<Item = &'static str> {
    let zeros = limits.into_iter().filter(|(_, limit)| *limit == Some(0));
    zeros.map(|(setting, _)| setting)
}

fn duplicate_names(sorted: &[TaskInfo]) -> impl Iterator<Item = Problem> {
    sorted
        .windows(2)
        .filter(|pair| pair[0].name() == pair[1].name())
        .map(|pair| Problem::DuplicateName {
            first: pair[0],
            second: pair[1],
        })
}

/// Compares each old name with every name, and with the old names of the tasks behind.
#[cfg(feature = "durable")]
fn old_names_taken(tasks: &[TaskInfo]) -> impl Iterator<Item = Problem> {
    let old_names = |task: &TaskInfo| task.durable().map_or(&[][..], |durable| durable.was());
    tasks.iter().enumerate().flat_map(move |(at, old)| {
        old_names(old).iter().flat_map(move |name| {
            let others = tasks.iter().enumerate().filter(move |(other_at, other)| {
                let is_taken = other.durable().is_some() && other.name() == *name;
                is_taken || *other_at > at && old_names(other).contains(name)
            });
            others.map(move |(_, other)| Problem::OldNameTaken {
                name,
                old: *old,
                other: *other,
            })
        })
    })
}

fn missing_states(tasks: &[TaskInfo], states: &States) -> impl Iterator<Item = Problem> {
    tasks.iter().flat_map(|task| {
        let missing = task
            .states()
            .iter()
            .filter(|state| !states.contains(state.type_id()));
        missing.map(|state| {
            Problem::MissingState(MissingState {
                task: *task,
                parameter: state.parameter(),
                type_name: state.type_name(),
                source: SourceOfStates::Builder,
            })
        })
    })
}

impl fmt::Debug for BackgroundBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundBuilder")
            .field("max_concurrent", &self.max_concurrent)
            .field("max_pending", &self.max_pending)
            .field("max_blocking", &self.max_blocking)
            .field("isolated", &self.isolated)
            .field("slow_poll_threshold", &self.slow_poll_threshold)
            .field("drain_timeout", &self.drain_timeout)
            .field("default_timeout", &self.default_timeout)
            .finish_non_exhaustive()
    }
}
