//! The store in memory, for tests: what an engine is, without a server and without a disk.
//!
//! It has what makes engines hard: leases, claims that are lost, workers that die or stall, and a store that is down.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Engine, Left, StoreEvent, StoreTransaction, Tally};
use crate::clock;
use crate::durable::error::{StartError, StoreError};
use crate::durable::query::{Found, Obeyed, Order, Query, Row};
use crate::durable::settings::{StoreSettings, matches};
use crate::durable::stored::StopOrder;
use crate::durable::{
    Claimed, Desk, Envelope, Kept, MOST_LOSSES, RunFailure, Store, Stored, StoredError,
    StoredState, TaskStatus, Verdict,
};
use crate::sync::Mutex;
use crate::task::{FailureKind, Progress, TaskId};

/// How many events a listener may be behind.
const EVENTS: usize = 1024;

/// A store of durable tasks in memory, for tests. Clones are the same store, so that several
/// [`Background`](crate::Background)s can play processes that share one.
///
/// It forgets everything when the last clone is dropped.
#[derive(Clone)]
pub struct Memory(Arc<Shared>);

struct Shared {
    tables: Mutex<Tables>,
    /// Notified when something may have become due.
    changed: Notify,
    events: broadcast::Sender<StoreEvent>,
}

#[derive(Default)]
struct Tables {
    rows: BTreeMap<Row, TaskRow>,
    last_row: Row,
    paused: Vec<String>,
    is_down: bool,
    /// Whatever is stored waits until this is over.
    is_stuck: bool,
    /// How many writes wait for that.
    waiting_writes: usize,
    /// The workers that are cut off: nothing that they say is heard any more.
    crashed: Vec<u64>,
    /// The workers that work.
    workers: Vec<u64>,
    /// The workers that do not let themselves be heard.
    stalled: Vec<u64>,
}

struct TaskRow {
    stored: Stored,
    state: StoredState,
    attempt: u32,
    errors: Vec<(u32, SystemTime, String)>,
    /// Why a worker could not read it, which is no failure.
    unreadable: Option<(u32, SystemTime, String)>,
    /// How many of the errors no longer count, because somebody has asked for the task to run again.
    forgiven: usize,
    /// How many of the others are losses.
    losses: u32,
    due: SystemTime,
    stored_at: SystemTime,
    attempted_at: Option<SystemTime>,
    ended_at: Option<SystemTime>,
    progress: Option<Progress>,
    worker: Option<u64>,
    heard: Instant,
    stop: StopOrder,
    /// The attempt after whose death somebody was told; 0 before that.
    told: u32,
    /// Since when somebody is being told.
    telling: Option<Instant>,
}

impl Memory {
    /// Creates an empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Kills every worker that works on this store now, as far as the store is concerned: it hears nothing from them
    /// any more, and what they had claimed runs again elsewhere when their lease is over.
    ///
    /// Their `Background`s live on and must not be used again; the runs that are under way go on, as those of a
    /// process that is cut off from its store do.
    pub fn crash(&self) {
        {
            let tables = &mut *self.0.tables.lock();
            let workers = std::mem::take(&mut tables.workers);
            tables.crashed.extend(workers);
        }
        self.0.changed.notify_waiters();
    }

    /// Has every worker that works on this store now miss its heartbeats, as one does whose machine stalls. Its tasks
    /// run again elsewhere when its lease is over; what it says of them afterwards is refused.
    pub fn stall(&self) {
        let tables = &mut *self.0.tables.lock();
        tables.stalled = tables.workers.clone();
    }

    /// Ends what [`stall`](Self::stall) began.
    pub fn go_on(&self) {
        self.0.tables.lock().stalled.clear();
        self.0.changed.notify_waiters();
    }

    /// Sets whether the store can be reached. While it can not, nothing is stored, and no worker is given a task.
    pub fn set_down(&self, is_down: bool) {
        self.0.tables.lock().is_down = is_down;
        self.0.changed.notify_waiters();
        if !is_down {
            let _ = self.0.events.send(StoreEvent::Gap);
        }
    }

    /// Sets whether the store takes its time: while it does, what is to be stored waits.
    pub fn set_stuck(&self, is_stuck: bool) {
        self.0.tables.lock().is_stuck = is_stuck;
        self.0.changed.notify_waiters();
    }

    /// Returns how many writes wait because the store is [stuck](Self::set_stuck).
    #[must_use]
    pub fn waiting_writes(&self) -> usize {
        self.0.tables.lock().waiting_writes
    }

    /// Waits while the store is stuck.
    async fn is_unstuck(&self) {
        struct Waiting<'a>(&'a Memory);

        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.0.tables.lock().waiting_writes -= 1;
            }
        }

        self.0.tables.lock().waiting_writes += 1;
        let _waiting = Waiting(self);
        loop {
            // Before the look, so that no change is missed.
            let mut changed = std::pin::pin!(self.0.changed.notified());
            changed.as_mut().enable();
            if !self.0.tables.lock().is_stuck {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        Arc::new(MemoryEngine {
            memory: self,
            lease: settings.lease,
            keep_completed: settings.keep_completed,
            keep_dead: settings.keep_dead,
        })
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self(Arc::new(Shared {
            tables: Mutex::new(Tables::default()),
            changed: Notify::new(),
            events: broadcast::Sender::new(EVENTS),
        }))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl From<Memory> for Store {
    fn from(memory: Memory) -> Self {
        Self::memory(memory)
    }
}

/// One process's view of a [`Memory`].
struct MemoryEngine {
    memory: Memory,
    lease: Duration,
    keep_completed: Duration,
    keep_dead: Duration,
}

impl MemoryEngine {
    /// Does something with the tables, as long as the store can be reached.
    fn with<T>(&self, ask: impl FnOnce(&mut Tables) -> T) -> Result<T, StoreError> {
        let tables = &mut *self.memory.0.tables.lock();
        if tables.is_down {
            return Err(StoreError::unreachable("the test has switched it off"));
        }
        tables.forget(clock::now(), self.keep_completed, self.keep_dead);
        Ok(ask(tables))
    }

    fn tell(&self, event: StoreEvent) {
        // An error says that nobody listens.
        let _ = self.memory.0.events.send(event);
    }

    fn record(&self, worker: u64, claim: MemoryClaim, verdict: Verdict) {
        let now = clock::now();
        let recorded = self.with(|tables| tables.record(worker, claim, verdict, now));
        if let Ok(Some(ended)) = recorded {
            self.tell(StoreEvent::Ended(ended));
        }
        self.memory.0.changed.notify_waiters();
    }

    /// Claims what is due, and hears of those whose lease is over.
    fn claim(
        &self,
        worker: u64,
        desk: &Desk,
        running: &BTreeMap<String, usize>,
    ) -> Result<(Vec<ClaimedRow>, Option<SystemTime>), StoreError> {
        let lease = self.lease;
        let (claimed, next, ended) = self.with(|tables| {
            let now = clock::now();
            let ended = tables.rescue(now, lease);
            let claimed = tables.claim(worker, desk, running, now);
            (claimed, tables.next_due(desk, now), ended)
        })?;
        for id in ended {
            self.tell(StoreEvent::Ended(id));
        }
        Ok((claimed, next))
    }

    async fn run(&self, worker: u64, desk: &Desk, stop: &CancellationToken) {
        let mut runs = FuturesUnordered::new();
        let mut running = BTreeMap::<String, usize>::new();
        loop {
            // Before the look, so that no change is missed.
            let mut changed = std::pin::pin!(self.memory.0.changed.notified());
            changed.as_mut().enable();
            let is_cut_off = self.memory.0.tables.lock().crashed.contains(&worker);
            if is_cut_off {
                return;
            }
            let mut wait = self.lease / 3;
            // Asked once, so that an order that comes meanwhile ends the wait below.
            let is_stopping = stop.is_cancelled();
            if !is_stopping {
                if let Ok((claimed, next)) = self.claim(worker, desk, &running) {
                    for (claim, claimed) in claimed {
                        *running.entry(claimed.queue.clone()).or_default() += 1;
                        let queue = claimed.queue.clone();
                        let run = desk.run(claimed);
                        runs.push(run.map(move |verdict| (claim, queue, verdict)));
                    }
                    let until = next.and_then(|next| next.duration_since(clock::now()).ok());
                    wait = until.map_or(wait, |until| wait.min(until));
                }
            } else if runs.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                Some((claim, queue, verdict)) = runs.next() => {
                    if let Some(running) = running.get_mut(&queue) {
                        *running -= 1;
                    }
                    self.record(worker, claim, verdict);
                }
                () = stop.cancelled(), if !is_stopping => {}
                () = &mut changed => {}
                () = tokio::time::sleep(wait) => {}
            }
            let _ = self.with(|tables| tables.beat(worker));
        }
    }
}

type ClaimedRow = (MemoryClaim, Claimed);

/// A claim of one row, for one attempt.
#[derive(Debug, Clone, Copy)]
struct MemoryClaim {
    row: Row,
    attempt: u32,
}

impl Tables {
    fn store(&mut self, batch: &[Stored], now: SystemTime) -> Vec<Kept> {
        let stored = batch.iter().map(|stored| {
            if let Some(unique) = &stored.unique {
                let taken = self.rows.values().filter(|row| {
                    let other = row.stored.unique.as_ref();
                    let is_same = other.is_some_and(|other| other.value == unique.value);
                    let is_young = unique.period.is_some_and(|period| {
                        now.duration_since(row.stored_at).unwrap_or_default() < period
                    });
                    is_same && (!row.state.is_final() || is_young)
                });
                let taken: Vec<_> = taken.map(|row| row.stored.id).collect();
                if taken.len() >= unique.slots as usize {
                    return Kept::Taken(taken.first().copied());
                }
            }
            self.last_row += 1;
            let due = stored.due.unwrap_or(now);
            let row = TaskRow {
                state: waiting(due, now),
                attempt: 0,
                errors: Vec::new(),
                unreadable: None,
                forgiven: 0,
                losses: 0,
                due,
                stored_at: now,
                attempted_at: None,
                ended_at: None,
                progress: None,
                worker: None,
                heard: Instant::now(),
                stop: StopOrder::default(),
                told: 0,
                telling: None,
                stored: stored.clone(),
            };
            self.rows.insert(self.last_row, row);
            Kept::Stored
        });
        stored.collect()
    }

    fn claim(
        &mut self,
        worker: u64,
        desk: &Desk,
        running: &BTreeMap<String, usize>,
        now: SystemTime,
    ) -> Vec<ClaimedRow> {
        let mut free: BTreeMap<&str, usize> = desk
            .queues
            .iter()
            .map(|(queue, at_once)| {
                let running = running.get(queue).copied().unwrap_or(0);
                (queue.as_str(), at_once.saturating_sub(running))
            })
            .collect();
        let mut due: Vec<_> = self
            .rows
            .iter()
            .filter(|(_, row)| row.is_due(now) && desk.names.contains(&row.stored.name))
            .filter(|(_, row)| !self.paused.iter().any(|queue| *queue == row.stored.queue))
            .map(|(number, row)| (row.stored.priority, row.due, *number))
            .collect();
        due.sort_unstable();
        let mut claimed = Vec::new();
        for (_, _, number) in due {
            let Some(row) = self.rows.get_mut(&number) else {
                continue;
            };
            match free.get_mut(&*row.stored.queue) {
                Some(free) if *free > 0 => *free -= 1,
                _ => continue,
            }
            row.state = StoredState::Running;
            row.attempt += 1;
            row.attempted_at = Some(now);
            row.worker = Some(worker);
            row.heard = Instant::now();
            row.stop = StopOrder::default();
            let claim = MemoryClaim {
                row: number,
                attempt: row.attempt,
            };
            claimed.push((claim, row.claimed()));
        }
        claimed
    }

    /// Returns when the next task is due that the desk runs.
    fn next_due(&self, desk: &Desk, now: SystemTime) -> Option<SystemTime> {
        let rows = self.rows.values();
        let waiting = rows.filter(|row| {
            let is_known = desk.names.contains(&row.stored.name);
            is_known && !row.state.is_final() && row.state != StoredState::Running && row.due > now
        });
        waiting.map(|row| row.due).min()
    }

    /// Notes that the worker lives.
    fn beat(&mut self, worker: u64) {
        if self.stalled.contains(&worker) || self.crashed.contains(&worker) {
            return;
        }
        for row in self.rows.values_mut() {
            if row.state == StoredState::Running && row.worker == Some(worker) {
                row.heard = Instant::now();
            }
        }
    }

    /// Takes the tasks of lost workers back. Returns those that end with that: they were cancelled, or have lost too
    /// many.
    fn rescue(&mut self, now: SystemTime, lease: Duration) -> Vec<TaskId> {
        let mut ended = Vec::new();
        for row in self.rows.values_mut() {
            if row.state != StoredState::Running || row.heard.elapsed() < lease {
                continue;
            }
            row.stop.lost.cancel();
            row.losses += 1;
            let lost = RunFailure::new(FailureKind::Lost, "its worker was lost");
            row.errors.push((row.attempt, now, lost.to_string()));
            row.due = now;
            if row.stop.cancelled.is_cancelled() {
                row.end(StoredState::Cancelled, now);
            } else if row.losses > MOST_LOSSES {
                row.end(StoredState::Dead, now);
            } else {
                row.state = StoredState::Waiting;
            }
            if row.state.is_final() {
                ended.push(row.stored.id);
            }
        }
        ended
    }

    /// Records what a worker says of a task, if the task is still its own. Returns the task if it has ended.
    fn record(
        &mut self,
        worker: u64,
        claim: MemoryClaim,
        verdict: Verdict,
        now: SystemTime,
    ) -> Option<TaskId> {
        if self.crashed.contains(&worker) {
            return None;
        }
        let row = self.rows.get_mut(&claim.row)?;
        let is_own = row.state == StoredState::Running
            && row.worker == Some(worker)
            && row.attempt == claim.attempt;
        if !is_own {
            return None;
        }
        let somebody_cancelled = row.stop.cancelled.is_cancelled();
        match verdict {
            Verdict::Completed => row.end(StoredState::Completed, now),
            // Also if it would run again: who has cancelled it was told that it ends.
            _ if somebody_cancelled => {
                let cancelled = RunFailure::new(FailureKind::Aborted, "somebody cancelled it");
                row.errors.push((row.attempt, now, cancelled.to_string()));
                row.end(StoredState::Cancelled, now);
            }
            Verdict::Failed { failure, retry_in } => {
                row.errors.push((row.attempt, now, failure.to_string()));
                match retry_in.and_then(|wait| now.checked_add(wait)) {
                    None => row.end(StoredState::Dead, now),
                    Some(due) => {
                        row.due = due;
                        row.state = StoredState::Retrying;
                    }
                }
            }
            Verdict::Cancelled(failure) => {
                row.errors.push((row.attempt, now, failure.to_string()));
                row.end(StoredState::Cancelled, now);
            }
            Verdict::Unreadable { failure, wait } => {
                row.unreadable = Some((row.attempt, now, failure.to_string()));
                row.go_back(wait, now);
            }
            Verdict::Returned { wait } => row.go_back(wait, now),
        }
        row.state.is_final().then_some(row.stored.id)
    }

    /// Drops what has been kept for long enough.
    fn forget(&mut self, now: SystemTime, keep_completed: Duration, keep_dead: Duration) {
        self.rows.retain(|_, row| {
            let keep = match row.state {
                StoredState::Dead => keep_dead,
                _ => keep_completed,
            };
            let ended = row.ended_at.and_then(|at| now.duration_since(at).ok());
            ended.is_none_or(|ago| ago < keep)
        });
    }

    /// Returns the rows of these tasks that no worker has, and that have not ended.
    fn waiting_rows(&mut self, tasks: &[TaskId]) -> impl Iterator<Item = &mut TaskRow> {
        self.rows.values_mut().filter(|row| {
            let waits = !row.state.is_final() && row.state != StoredState::Running;
            waits && tasks.contains(&row.stored.id)
        })
    }

    fn found(&self, query: &Query) -> impl Iterator<Item = (Row, &TaskRow)> {
        let rows = self.rows.iter().map(|(number, row)| (*number, row));
        rows.filter(|(_, row)| row.is_of(query))
    }

    fn order(&mut self, number: Row, order: Order, now: SystemTime) -> Obeyed {
        let Some(row) = self.rows.get_mut(&number) else {
            return Obeyed::Unknown;
        };
        match (order, row.state) {
            (Order::Cancel, StoredState::Running) => {
                row.stop.cancelled.cancel();
                Obeyed::Told
            }
            (Order::Cancel, state) if !state.is_final() => {
                row.end(StoredState::Cancelled, now);
                Obeyed::Done
            }
            (Order::Retry, state) if state.is_final() || state == StoredState::Retrying => {
                row.due = now;
                row.ended_at = None;
                // One that waits for its next run only waits no longer.
                if state.is_final() {
                    (row.forgiven, row.losses) = (row.errors.len(), 0);
                }
                row.state = StoredState::Waiting;
                Obeyed::Done
            }
            (Order::Delete, state) if state != StoredState::Running => {
                self.rows.remove(&number);
                Obeyed::Done
            }
            _ => Obeyed::TooLate,
        }
    }
}

impl TaskRow {
    fn is_due(&self, now: SystemTime) -> bool {
        let waits = !self.state.is_final() && self.state != StoredState::Running;
        waits && self.due <= now
    }

    fn end(&mut self, state: StoredState, now: SystemTime) {
        self.state = state;
        self.ended_at = Some(now);
    }

    fn is_of(&self, query: &Query) -> bool {
        let Query {
            id,
            state,
            name,
            queue,
            key,
        } = query;
        id.is_none_or(|id| id == self.stored.id)
            && state.is_none_or(|state| state == self.state)
            && (name.as_ref()).is_none_or(|pattern| matches(pattern, self.stored.name))
            && (queue.as_ref()).is_none_or(|queue| *queue == self.stored.queue)
            && (key.as_ref()).is_none_or(|key| self.stored.key.as_ref() == Some(key))
    }

    fn worker_name(&self) -> Option<String> {
        self.worker.map(|worker| format!("memory:{worker}"))
    }

    fn go_back(&mut self, wait: Duration, now: SystemTime) {
        self.due = now.checked_add(wait).unwrap_or(now);
        self.state = waiting(self.due, now);
    }

    fn claimed(&self) -> Claimed {
        Claimed {
            id: self.stored.id,
            name: self.stored.name.to_owned(),
            arguments: self.stored.arguments.clone(),
            envelope: self.stored.envelope.clone(),
            queue: self.stored.queue.clone().into_owned(),
            attempt: self.attempt,
            failures: (self.errors.len() - self.forgiven) as u32 - self.losses,
            losses: self.losses,
            runs: self.stored.runs,
            stored_at: self.stored_at,
            stop: self.stop.clone(),
        }
    }

    fn status(&self) -> TaskStatus {
        let read = |(attempt, at, text): &(u32, _, String)| StoredError::parse(*attempt, *at, text);
        let mut errors: Vec<_> = self.errors.iter().map(read).collect();
        if let Some(unreadable) = &self.unreadable {
            read(unreadable).insert_into(&mut errors);
        }
        TaskStatus {
            id: self.stored.id,
            name: self.stored.name.to_owned(),
            state: self.state,
            queue: self.stored.queue.clone().into_owned(),
            attempt: self.attempt,
            runs: self.stored.runs,
            arguments: self.stored.arguments.get().to_owned(),
            key: self.stored.key.clone(),
            errors,
            progress: self.progress.clone(),
            worker: self.worker_name(),
            stored_at: self.stored_at,
            due_at: self.due,
            expires_at: Envelope::from_json(&self.stored.envelope).expires_at,
            attempted_at: self.attempted_at,
            ended_at: self.ended_at,
        }
    }
}

fn waiting(due: SystemTime, now: SystemTime) -> StoredState {
    if due > now {
        StoredState::Scheduled
    } else {
        StoredState::Waiting
    }
}

impl Engine for MemoryEngine {
    fn describe(&self) -> String {
        "the store in memory".to_owned()
    }

    fn start(&self) -> BoxFuture<'_, Result<(), StartError>> {
        let started = self.with(|_| ()).map_err(|error| StartError::Unreachable {
            store: self.describe(),
            error: Arc::new(error),
        });
        std::future::ready(started).boxed()
    }

    fn store(&self, batch: Arc<[Stored]>) -> BoxFuture<'_, Result<Vec<Kept>, StoreError>> {
        async move {
            self.memory.is_unstuck().await;
            let stored = self.with(|tables| tables.store(&batch, clock::now()));
            self.memory.0.changed.notify_waiters();
            stored
        }
        .boxed()
    }

    fn store_in<'a>(
        &'a self,
        _: StoreTransaction<'a>,
        _: Arc<[Stored]>,
    ) -> BoxFuture<'a, Result<Vec<Kept>, StoreError>> {
        let error = StoreError::NoTransactions {
            store: self.describe(),
            why: "a store in memory has none".to_owned(),
        };
        std::future::ready(Err(error)).boxed()
    }

    fn work(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let worker = NEXT.fetch_add(1, Ordering::Relaxed);
        async move {
            self.memory.0.tables.lock().workers.push(worker);
            self.run(worker, &desk, &stop).await;
            let tables = &mut *self.memory.0.tables.lock();
            tables.workers.retain(|other| *other != worker);
            Ok(())
        }
        .boxed()
    }

    fn list(
        &self,
        query: Query,
        after: Option<Row>,
        limit: u32,
    ) -> BoxFuture<'_, Result<Found, StoreError>> {
        let found = self.with(|tables| {
            let mut rows: Vec<_> = tables.found(&query).collect();
            rows.retain(|(number, _)| after.is_none_or(|after| *number < after));
            rows.reverse();
            let has_more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().map(|(number, _)| *number).filter(|_| has_more);
            let tasks = rows.iter().map(|(_, row)| row.status()).collect();
            Found { tasks, next }
        });
        std::future::ready(found).boxed()
    }

    fn counts(&self, query: Query) -> BoxFuture<'_, Result<Vec<(StoredState, u64)>, StoreError>> {
        let counts = self.with(|tables| {
            let mut counts = BTreeMap::new();
            for (_, row) in tables.found(&query) {
                *counts.entry(row.state).or_insert(0) += 1;
            }
            counts.into_iter().collect()
        });
        std::future::ready(counts).boxed()
    }

    fn order(&self, task: TaskId, order: Order) -> BoxFuture<'_, Result<Obeyed, StoreError>> {
        let query = Query {
            id: Some(task),
            ..Query::default()
        };
        let obeyed = self.with(|tables| {
            let row = tables.found(&query).next().map(|(number, _)| number);
            row.map_or(Obeyed::Unknown, |row| {
                tables.order(row, order, clock::now())
            })
        });
        if let (Ok(Obeyed::Done), Order::Cancel | Order::Delete) = (&obeyed, order) {
            self.tell(StoreEvent::Ended(task));
        }
        self.memory.0.changed.notify_waiters();
        std::future::ready(obeyed).boxed()
    }

    fn order_all(&self, query: Query, order: Order) -> BoxFuture<'_, Result<u64, StoreError>> {
        let obeyed = self.with(|tables| {
            let rows: Vec<_> = tables.found(&query).map(|(number, _)| number).collect();
            let obeyed = rows.into_iter().filter(|row| {
                let obeyed = tables.order(*row, order, clock::now());
                matches!(obeyed, Obeyed::Done | Obeyed::Told)
            });
            obeyed.count() as u64
        });
        self.tell(StoreEvent::Gap);
        self.memory.0.changed.notify_waiters();
        std::future::ready(obeyed).boxed()
    }

    fn set_progress(
        &self,
        task: TaskId,
        progress: Progress,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        async move {
            // As of a store that is elsewhere, whose answer takes a moment.
            #[cfg(all(test, shuttle))]
            shuttle::future::yield_now().await;
            self.with(|tables| {
                let mut rows = tables.rows.values_mut();
                if let Some(row) = rows.find(|row| row.stored.id == task) {
                    row.progress = Some(progress.clone());
                }
            })?;
            self.tell(StoreEvent::Progress(task, progress));
            Ok(())
        }
        .boxed()
    }

    fn events(&self) -> BoxFuture<'_, Result<BoxStream<'static, StoreEvent>, StoreError>> {
        let listener = self.memory.0.events.subscribe();
        let events = stream::unfold(listener, |mut listener| async move {
            match listener.recv().await {
                Ok(event) => Some((event, listener)),
                Err(broadcast::error::RecvError::Lagged(_)) => Some((StoreEvent::Gap, listener)),
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
        std::future::ready(self.with(|_| events.boxed())).boxed()
    }

    fn postpone(
        &self,
        tasks: Vec<TaskId>,
        due: SystemTime,
    ) -> BoxFuture<'_, Result<(), StoreError>> {
        let now = clock::now();
        let postponed = self.with(|tables| {
            for row in tables.waiting_rows(&tasks) {
                row.due = due;
                row.state = waiting(due, now);
            }
        });
        self.memory.0.changed.notify_waiters();
        std::future::ready(postponed).boxed()
    }

    fn release(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.postpone(tasks, clock::now())
    }

    fn claim_dead(
        &self,
        limit: u32,
        again_after: Duration,
    ) -> BoxFuture<'_, Result<Vec<TaskStatus>, StoreError>> {
        let dead = self.with(|tables| {
            let rows = tables.rows.values_mut();
            let untold = rows.filter(|row| {
                let is_being_told = row
                    .telling
                    .is_some_and(|since| since.elapsed() < again_after);
                row.state == StoredState::Dead && row.told < row.attempt && !is_being_told
            });
            let claimed = untold.take(limit as usize).map(|row| {
                row.telling = Some(Instant::now());
                row.status()
            });
            claimed.collect()
        });
        std::future::ready(dead).boxed()
    }

    fn note_told(&self, tasks: Vec<TaskId>) -> BoxFuture<'_, Result<(), StoreError>> {
        let noted = self.with(|tables| {
            for row in tables.rows.values_mut() {
                if tasks.contains(&row.stored.id) {
                    (row.told, row.telling) = (row.attempt, None);
                }
            }
        });
        std::future::ready(noted).boxed()
    }

    fn tallies(&self) -> BoxFuture<'_, Result<Vec<Tally>, StoreError>> {
        let tallies = self.with(|tables| {
            let mut tallies = BTreeMap::new();
            for row in tables.rows.values() {
                if !row.state.is_final() || row.state == StoredState::Dead {
                    let queue = row.stored.queue.to_string();
                    *tallies.entry((queue, row.state)).or_insert(0) += 1;
                }
            }
            let tallies = tallies.into_iter();
            let tallies = tallies.map(|((queue, state), tasks)| Tally {
                queue,
                state,
                tasks,
            });
            tallies.collect()
        });
        std::future::ready(tallies).boxed()
    }

    fn unknown_names(
        &self,
        known: &'static [&'static str],
    ) -> BoxFuture<'_, Result<Vec<(String, u64)>, StoreError>> {
        let unknown = self.with(|tables| {
            let mut unknown = BTreeMap::<String, u64>::new();
            let rows = tables.rows.values().filter(|row| !row.state.is_final());
            for row in rows.filter(|row| !known.contains(&row.stored.name)) {
                *unknown.entry(row.stored.name.to_owned()).or_default() += 1;
            }
            unknown.into_iter().take(20).collect()
        });
        std::future::ready(unknown).boxed()
    }

    fn left(&self, silent_for: Duration) -> BoxFuture<'_, Result<Vec<Left>, StoreError>> {
        let left = self.with(|tables| {
            let mut left = BTreeMap::new();
            let rows = tables.rows.values();
            let running = rows.filter(|row| row.state == StoredState::Running);
            for row in running.filter(|row| row.heard.elapsed() >= silent_for) {
                *left
                    .entry((row.worker_name(), row.stored.name))
                    .or_insert(0) += 1;
            }
            let left = left.into_iter().take(20);
            let left = left.map(|((worker, name), tasks)| Left {
                worker: worker.unwrap_or_default(),
                name: name.to_owned(),
                tasks,
            });
            left.collect()
        });
        std::future::ready(left).boxed()
    }

    fn set_paused(&self, queue: String, paused: bool) -> BoxFuture<'_, Result<(), StoreError>> {
        let set = self.with(|tables| {
            tables.paused.retain(|other| *other != queue);
            if paused {
                tables.paused.push(queue);
            }
        });
        self.memory.0.changed.notify_waiters();
        std::future::ready(set).boxed()
    }

    fn oldest(&self) -> BoxFuture<'_, Result<Vec<(String, Duration)>, StoreError>> {
        let oldest = self.with(|tables| {
            let now = clock::now();
            let mut oldest = BTreeMap::<String, Duration>::new();
            for row in tables.rows.values().filter(|row| row.is_due(now)) {
                let waits = now.duration_since(row.due).unwrap_or_default();
                let longest = oldest.entry(row.stored.queue.to_string()).or_default();
                *longest = waits.max(*longest);
            }
            oldest.into_iter().collect()
        });
        std::future::ready(oldest).boxed()
    }
}
