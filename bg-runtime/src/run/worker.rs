//! The worker of this process: it takes tasks from the store while servers run, or `work` does.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dead::{self, DeadHook};
use super::held::HeldTasks;
use super::stored::{Unreadable, run_stored};
use super::{Runner, report};
use crate::durable::{Desk, OpenStore, StartError, StoredState, Verdict};
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::sync::Mutex;
use crate::task::{TaskDef, TaskInfo, durable_by_name, durable_names};

/// How long a shutdown waits for the store to hear what became of the last tasks. What it does not hear runs again.
const CLOSING: Duration = Duration::from_secs(5);

/// How often the log is told of stored tasks that no worker here knows.
const WARN: Duration = Duration::from_secs(60 * 60);

/// How often metrics are told of what is stored.
const SHOW: Duration = Duration::from_secs(15);

/// How long a worker waits that its store has sent away.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    store: Arc<OpenStore>,
    pub(super) unreadable: Unreadable,
    names: OnceLock<&'static [&'static str]>,
    on_dead: Option<Arc<DeadHook>>,
    pub(super) held: Arc<HeldTasks>,
    running: Mutex<Option<RunningWorker>>,
}

struct RunningWorker {
    /// Tells it to claim nothing more.
    stop: CancellationToken,
    work: JoinHandle<()>,
}

impl Worker {
    pub(super) fn new(store: Arc<OpenStore>, on_dead: Option<DeadHook>) -> Self {
        Self {
            store,
            unreadable: Unreadable::default(),
            names: OnceLock::new(),
            on_dead: on_dead.map(Arc::new),
            held: Arc::default(),
            running: Mutex::new(None),
        }
    }

    pub(super) fn store(&self) -> &Arc<OpenStore> {
        &self.store
    }

    /// Returns the names of the tasks that this process runs, old ones included.
    fn names(&self) -> &'static [&'static str] {
        self.names.get_or_init(|| {
            let names = durable_names().iter().copied();
            let runs = |name: &str| {
                let now = durable_by_name(name).map(TaskDef::name);
                self.store.settings().runs(name)
                    || now.is_some_and(|now| self.store.settings().runs(now))
            };
            // Leaked once for each `Background` that works, because engines keep them for ever.
            let names: Vec<_> = names.filter(|name| runs(name)).collect();
            names.leak()
        })
    }

    fn desk(&self, runner: &Arc<Runner>) -> Desk {
        let names = self.names();
        let queues = declared_queues(names);
        // Not the runner itself, which would live as long as its worker, and has it.
        let runner = Arc::downgrade(runner);
        Desk::new(
            names,
            self.store.queues(queues.into_iter()),
            move |claimed| match Weak::upgrade(&runner) {
                Some(runner) => run_stored(&runner, claimed),
                None => {
                    let wait = Duration::ZERO;
                    std::future::ready(Verdict::Returned { wait }).boxed()
                }
            },
        )
    }

    /// Begins to work, unless it works already.
    fn begin(&self, runner: &Arc<Runner>) {
        let running = &mut *self.running.lock();
        let works = running
            .as_ref()
            .is_some_and(|running| !running.work.is_finished() && !running.stop.is_cancelled());
        if works {
            return;
        }
        let (desk, names) = (Arc::new(self.desk(runner)), self.names());
        warn_of_settings(&self.store);
        let stop = runner.stopping(runner.signals()).child_token();
        let work = work(self.store.clone(), desk.clone(), stop.clone());
        let (store, on_dead, told) = (self.store.clone(), self.on_dead.clone(), stop.clone());
        let beside = async move {
            let dead = async {
                if let Some(hook) = on_dead {
                    dead::tell(store.clone(), hook, told.clone()).await;
                }
            };
            let left = told.run_until_cancelled(warn_of_left(&store));
            tokio::join!(dead, left, watch(&store, names, &desk.queues, &told));
        };
        // Not in the `AbortRegistry`: it tells the store what became of the tasks that a shutdown aborts.
        let work = runner.executor.spawn_here(async move {
            tokio::join!(work, beside);
        });
        *running = work.map(|work| RunningWorker { stop, work });
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(running) = &*self.running.lock() {
            running.stop.cancel();
        }
    }
}

/// Returns the queues that the tasks of these names go to.
fn declared_queues(names: &[&str]) -> BTreeSet<&'static str> {
    let tasks = names.iter().filter_map(|name| durable_by_name(name));
    tasks
        .filter_map(|def| Some(TaskInfo::declared(def).durable()?.queue()))
        .collect()
}

/// Says which names and queues the store was told that this program does not have: with a slip of the pen in them, the
/// worker waits for ever.
fn warn_of_settings(store: &OpenStore) {
    let settings = store.settings();
    let shown = |names: &[&str]| OneLine(names.join(", ")).to_string();
    let all = durable_names();
    let only = settings.only_nothing(all);
    if !only.is_empty() {
        tracing::warn!(
            target: RUNTIME,
            only = shown(&only),
            tasks = shown(all),
            "`only([..])` of the store names what no durable task of this program is called"
        );
    }
    let declared = declared_queues(all);
    let queues = settings.queues.iter().flatten();
    let queues: Vec<_> = queues
        .map(|(queue, _)| queue.as_str())
        .filter(|queue| !declared.contains(queue))
        .collect();
    if !queues.is_empty() {
        let declared: Vec<_> = declared.into_iter().collect();
        tracing::warn!(
            target: RUNTIME,
            queues = shown(&queues),
            declared = shown(&declared),
            "`queues([..])` of the store names what no durable task of this program declares: nothing comes there, unless \
             tasks are sent with `queue(..)`"
        );
    }
}

/// Tells the log of stored tasks that no worker here knows, and metrics of all of them, until it is told to stop.
async fn watch(
    store: &OpenStore,
    names: &'static [&'static str],
    queues: &[(String, usize)],
    stop: &CancellationToken,
) {
    let mut warn_at = Instant::now();
    loop {
        if warn_at <= Instant::now() {
            warn_of_unknown(store, names).await;
            warn_of_unwatched(store, queues).await;
            warn_at += WARN;
        }
        if report::SHOWS_STORES {
            if let Ok(tallies) = store.ask(store.engine().tallies()).await {
                let oldest = store.ask(store.engine().oldest()).await;
                report::show_store(&tallies, &oldest.unwrap_or_default());
            }
        }
        let wait = if report::SHOWS_STORES { SHOW } else { WARN };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Says which tasks were left by workers that are silent, as those are that a crash has ended. Looks once more when a
/// worker has become silent that was still heard of just before this start.
async fn warn_of_left(store: &OpenStore) {
    let lease = store.settings().lease;
    // One that lives is heard of three times in a lease. Less than half of it, so that the second look finds what the
    // first was too early for, and comes before that is taken back.
    let silent_for = lease * 9 / 20;
    let mut told = BTreeSet::new();
    for is_last in [false, true] {
        let left = store.ask(store.engine().left(silent_for)).await;
        let mut news = left.unwrap_or_default();
        news.retain(|left| told.insert((left.worker.clone(), left.name.clone())));
        for of_one in news.chunk_by(|left, next| left.worker == next.worker) {
            let names = of_one.iter();
            let names: Vec<_> = names
                .map(|left| format!("{} ({})", left.name, left.tasks))
                .collect();
            tracing::warn!(
                target: RUNTIME,
                worker = %OneLine(&of_one[0].worker),
                tasks = %OneLine(names.join(", ")),
                "a worker that is silent has left tasks, which run again when its lease is over"
            );
        }
        if !is_last {
            tokio::time::sleep(lease / 2).await;
        }
    }
}

/// Says which tasks wait for a worker that knows them. In the middle of a deployment that is as it should be, for a
/// while.
async fn warn_of_unknown(store: &OpenStore, names: &'static [&'static str]) {
    let unknown = store
        .ask(store.engine().unknown_names(names))
        .await
        .unwrap_or_default();
    // Those that this worker only leaves to others are none of them.
    let unknown = unknown
        .into_iter()
        .filter(|(name, _)| durable_by_name(name).is_none());
    let unknown: Vec<_> = unknown
        .map(|(name, tasks)| format!("{name} ({tasks})"))
        .collect();
    if !unknown.is_empty() {
        tracing::warn!(
            target: RUNTIME,
            tasks = %OneLine(unknown.join(", ")),
            "stored tasks wait for a worker that knows them: declare them in this program, under these names or with \
             `was`, or delete them"
        );
    }
}

/// Says which queues have tasks and are looked at by no worker here, unless this process was told to look at some only.
async fn warn_of_unwatched(store: &OpenStore, queues: &[(String, usize)]) {
    if store.settings().queues.is_some() || store.settings().only.is_some() {
        return;
    }
    let tallies = store
        .ask(store.engine().tallies())
        .await
        .unwrap_or_default();
    let waiting = tallies
        .into_iter()
        .filter(|tally| tally.state == StoredState::Waiting);
    let unwatched = waiting.filter(|tally| queues.iter().all(|(queue, _)| *queue != tally.queue));
    let unwatched: Vec<_> = unwatched
        .map(|tally| format!("{} ({})", tally.queue, tally.tasks))
        .collect();
    if !unwatched.is_empty() {
        tracing::warn!(
            target: RUNTIME,
            queues = %OneLine(unwatched.join(", ")),
            "stored tasks wait in queues that no task of this program declares, so it does not look at them: name them \
             in `queues([..])` of the store, unless other workers do"
        );
    }
}

async fn work(store: Arc<OpenStore>, desk: Arc<Desk>, stop: CancellationToken) {
    while let Err(error) = store.work(desk.clone(), stop.clone()).await {
        tracing::error!(target: RUNTIME, store = store.describe(), %error, "the worker has stopped, and begins anew");
        if stop.is_cancelled() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Makes the store ready, and begins to take tasks from it, until the shutdown begins. Does nothing without a store, and
/// takes nothing from one that is only for storing.
pub(super) async fn begin_working(runner: &Arc<Runner>) -> Result<(), StartError> {
    let Some(worker) = &runner.worker else {
        return Ok(());
    };
    worker.store.start().await?;
    if worker.store.settings().works {
        worker.begin(runner);
    }
    Ok(())
}

/// Works in the caller's own future, for the scenarios of the model checker, which has no runtime to spawn on.
#[cfg(all(test, shuttle))]
pub(super) fn work_here(runner: &Arc<Runner>) -> impl Future<Output = ()> + use<> {
    let worker = runner.worker.as_ref().expect("there is a store");
    let stop = runner.stopping(runner.signals()).child_token();
    work(worker.store.clone(), Arc::new(worker.desk(runner)), stop)
}

/// Waits until the worker, which claims nothing more, has told the store what became of its last tasks.
pub(super) async fn end_working(runner: &Runner) {
    let running = runner
        .worker
        .as_ref()
        .and_then(|worker| worker.running.lock().take());
    let Some(RunningWorker { stop, mut work }) = running else {
        return;
    };
    stop.cancel();
    if tokio::time::timeout(CLOSING, &mut work).await.is_err() {
        work.abort();
        tracing::error!(
            target: RUNTIME,
            "the store did not hear in time what became of the last tasks; those of which it did not run again"
        );
    }
}
