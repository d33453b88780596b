//! The books: every accepted task stands in them until its outcome is settled, exactly once.
//!
//! One lock guards the entries and the counts, so that a snapshot always balances and so that
//! whoever removes an entry first (the run, a handle, a shutdown) decides the outcome.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tracing::Span;

use super::limits::{Admission, Refusal};
use super::shutdown::UnfinishedTask;
use super::{Stats, hook, metrics};
use crate::contain::Contained;
use crate::sync::Mutex;
use crate::task::{
    AbortReason, BoxError, FailureKind, Progress, QueuedTask, RequestInfo, SkipReason, TaskFailure,
    TaskId, TaskInfo,
};

pub(super) type Watcher = oneshot::Sender<Result<(), TaskFailure>>;

#[derive(Default)]
pub(super) struct Ledger {
    books: Mutex<Books>,
    idle: Notify,
}

#[derive(Default)]
struct Books {
    entries: Slab<Entry>,
    accepted: u64,
    running: u64,
    completed: u64,
    failed: u64,
    skipped: u64,
    aborted: u64,
    retries: u64,
    /// Work besides tasks that a shutdown waits for.
    holds: u64,
    /// Set at the end of a shutdown: nothing is accepted any more.
    closed: bool,
    /// What a shutdown aborted.
    unfinished: Vec<UnfinishedTask>,
}

/// An accepted task without an outcome.
pub(super) struct Entry {
    pub(super) id: TaskId,
    pub(super) task: TaskInfo,
    pub(super) request: Option<Arc<RequestInfo>>,
    pub(super) span: Span,
    pub(super) arguments: Option<Box<str>>,
    pub(super) run: Run,
    queued: metrics::Queued,
    pub(super) watcher: Option<Watcher>,
    pub(super) admission: Admission,
    /// The latest word of its progress, once somebody gives it or waits for it.
    progress: Option<watch::Sender<Option<Progress>>>,
    /// Queued by an error hook.
    pub(super) by_hook: bool,
}

/// Which run of a task it is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// It waits for the first.
    First,
    Running {
        attempt: u32,
        since: Instant,
    },
    /// It waits for the one after this, of so many.
    After {
        attempt: u32,
        of: u32,
    },
}

impl Run {
    /// How many runs there were.
    pub(super) fn attempts(self) -> u32 {
        match self {
            Self::First => 0,
            Self::Running { attempt, .. } | Self::After { attempt, .. } => attempt,
        }
    }

    /// How long it has been running.
    pub(super) fn elapsed(self) -> Option<Duration> {
        match self {
            Self::Running { since, .. } => Some(since.elapsed()),
            Self::First | Self::After { .. } => None,
        }
    }

    fn is_running(self) -> bool {
        matches!(self, Self::Running { .. })
    }
}

/// How a task ended.
pub(crate) enum Outcome {
    Completed,
    /// With the tasks that will not run because of it.
    Failed {
        kind: FailureKind,
        error: Contained<BoxError>,
        skipped: Vec<TaskInfo>,
    },
    Skipped(SkipReason),
    /// A limit left no room for it.
    Refused(Refusal),
    Aborted(AbortReason),
}

impl Ledger {
    /// Changes the books, and moves the gauge of those that wait along with them.
    fn change<R>(&self, change: impl FnOnce(&mut Books) -> R) -> R {
        let mut books = self.books.lock();
        let before = books.pending();
        let changed = change(&mut books);
        let after = books.pending();
        drop(books);
        // The recorder is not ours, so it is called outside the lock.
        metrics::pending_changed(before, after);
        changed
    }

    pub(super) fn stats(&self) -> Stats {
        let books = self.books.lock();
        Stats {
            accepted: books.accepted,
            pending: books.pending(),
            running: books.running,
            completed: books.completed,
            failed: books.failed,
            skipped: books.skipped,
            aborted: books.aborted,
            retries: books.retries,
        }
    }

    /// What a shutdown aborted, oldest first.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedTask> {
        let mut unfinished = self.books.lock().unfinished.clone();
        unfinished.sort_by_key(UnfinishedTask::id);
        unfinished
    }

    pub(super) fn hold(&self) {
        self.books.lock().holds += 1;
    }

    pub(super) fn release_hold(&self) {
        let mut books = self.books.lock();
        books.holds -= 1;
        self.notify_if_idle(&books);
    }

    /// Completes when no task is without an outcome, and nothing is held.
    pub(super) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.books.lock().is_idle() {
                return;
            }
            notified.await;
        }
    }

    fn notify_if_idle(&self, books: &Books) {
        if books.is_idle() {
            self.idle.notify_waiters();
        }
    }

    /// Takes in a task. When the books are closed it comes back, counted as aborted; its report is a
    /// hold.
    pub(super) fn enter(&self, entry: Entry) -> (Place, Option<Entry>) {
        let id = entry.id;
        self.change(|books| {
            books.accepted += 1;
            if books.closed {
                books.count(&entry, &Outcome::Aborted(AbortReason::AfterShutdown));
                books.holds += 1;
                let nowhere = usize::MAX;
                return (Place { key: nowhere, id }, Some(entry));
            }
            let key = books.entries.insert(entry);
            (Place { key, id }, None)
        })
    }

    /// Counts a task that is not taken in. Its report is a hold.
    pub(super) fn refuse(&self, entry: &Entry, refusal: Refusal) -> Outcome {
        let mut books = self.books.lock();
        let outcome = if books.closed {
            Outcome::Aborted(AbortReason::AfterShutdown)
        } else {
            Outcome::Refused(refusal)
        };
        books.accepted += 1;
        books.holds += 1;
        books.count(entry, &outcome);
        outcome
    }

    /// Keeps the task's arguments.
    pub(super) fn show(&self, place: Place, arguments: Option<Box<str>>) {
        if let Some(entry) = self.books.lock().entry(place) {
            entry.arguments = arguments;
        }
    }

    /// Marks the task as running. `None`: it has been settled already.
    pub(super) fn start(&self, place: Place, attempt: u32) -> Option<Started> {
        let (queued, started) = self.change(|books| {
            let entry = books.entry(place)?;
            let since = Instant::now();
            entry.run = Run::Running { attempt, since };
            let started = Started {
                attempt,
                request: entry.request.clone(),
            };
            let queued = entry.queued;
            books.running += 1;
            books.retries += u64::from(attempt > 1);
            Some((queued, started))
        })?;
        if attempt == 1 {
            queued.started();
        }
        Some(started)
    }

    /// Notes that the run of a task has failed and another follows. What is known of the task, unless
    /// it has been settled.
    pub(super) fn wait_again(&self, place: Place, attempt: u32, of: u32) -> Option<FailedRun> {
        self.change(|books| {
            let entry = books.entry(place)?;
            let failed = FailedRun {
                id: entry.id,
                task: entry.task,
                request: entry.request.clone(),
                span: entry.span.clone(),
                arguments: entry.arguments.clone(),
                elapsed: entry.run.elapsed().unwrap_or_default(),
                by_hook: entry.by_hook,
            };
            entry.run = Run::After { attempt, of };
            books.running -= 1;
            Some(failed)
        })
    }

    /// Whether the task has no outcome yet.
    pub(super) fn is_open(&self, place: Place) -> bool {
        self.books.lock().entry(place).is_some()
    }

    pub(super) fn set_progress(&self, place: Place, progress: Progress) {
        let readers = self
            .books
            .lock()
            .entry(place)
            .map(|entry| entry.progress().clone());
        // Outside the lock, because readers are woken, and those are the user's.
        if let Some(readers) = readers {
            readers.send_replace(Some(progress));
        }
    }

    /// The progress of a task from now on. `None` for a task that has been settled.
    pub(super) fn watch_progress(&self, place: Place) -> Option<watch::Receiver<Option<Progress>>> {
        let mut books = self.books.lock();
        let mut progress = books.entry(place)?.progress().subscribe();
        progress.mark_changed();
        Some(progress)
    }

    /// Takes the task out of the books, unless that has happened already. What is left of it, its
    /// report, is a hold.
    pub(super) fn close_entry(&self, place: Place, outcome: &Outcome) -> Option<Entry> {
        self.change(|books| {
            books.entry(place)?;
            let entry = books.entries.remove(place.key);
            books.count(&entry, outcome);
            books.holds += 1;
            Some(entry)
        })
    }

    /// Counts everything that has no outcome yet as aborted by a shutdown. Nothing that comes later
    /// will run.
    pub(super) fn close(&self) -> Vec<Entry> {
        self.change(|books| {
            books.closed = true;
            let mut entries: Vec<Entry> = take(&mut books.entries)
                .into_iter()
                .map(|(_, entry)| entry)
                .collect();
            entries.sort_by_key(|entry| entry.id);
            for entry in &entries {
                books.count(entry, &Outcome::Aborted(AbortReason::Shutdown));
            }
            self.notify_if_idle(books);
            entries
        })
    }
}

impl Books {
    fn pending(&self) -> u64 {
        self.entries.len() as u64 - self.running
    }

    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.holds == 0
    }

    /// The entry, if it is still this task's: the slab uses the keys of settled tasks again.
    fn entry(&mut self, place: Place) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(place.key);
        entry.filter(|entry| entry.id == place.id)
    }

    fn count(&mut self, entry: &Entry, outcome: &Outcome) {
        if entry.run.is_running() {
            self.running -= 1;
        }
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Skipped(_) | Outcome::Refused(_) => self.skipped += 1,
            Outcome::Aborted(AbortReason::Shutdown) => {
                self.aborted += 1;
                self.unfinished.push(entry.unfinished());
            }
            Outcome::Aborted(_) => self.aborted += 1,
        }
    }
}

/// Where a task stands in the books.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    key: usize,
    id: TaskId,
}

impl Entry {
    pub(super) fn new(
        queued: &QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
        admission: Admission,
    ) -> Self {
        Self {
            admission,
            id: queued.id(),
            task: queued.info(),
            request,
            span: queued.span().clone(),
            arguments: None,
            run: Run::First,
            queued: metrics::Queued::now(),
            watcher,
            progress: None,
            by_hook: hook::is_telling(),
        }
    }

    fn unfinished(&self) -> UnfinishedTask {
        UnfinishedTask::new(self.task, self.id, self.request.clone(), self.run)
    }

    fn progress(&mut self) -> &watch::Sender<Option<Progress>> {
        self.progress
            .get_or_insert_with(|| watch::Sender::new(None))
    }
}

/// A run that begins.
pub(super) struct Started {
    pub(super) attempt: u32,
    pub(super) request: Option<Arc<RequestInfo>>,
}

/// A run that failed, of a task that will run again.
pub(super) struct FailedRun {
    pub(super) id: TaskId,
    pub(super) task: TaskInfo,
    pub(super) request: Option<Arc<RequestInfo>>,
    pub(super) span: Span,
    pub(super) arguments: Option<Box<str>>,
    pub(super) elapsed: Duration,
    pub(super) by_hook: bool,
}
