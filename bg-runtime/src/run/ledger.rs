//! The books: every accepted task stands in them until its outcome is settled, exactly once.
//!
//! One lock guards the entries and the counts, so that a snapshot always balances and so that
//! whoever removes an entry first (the run, a handle, a shutdown) decides the outcome.

use std::mem::take;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use slab::Slab;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use tracing::Span;

use super::failure::{AbortReason, FailureKind, SkipReason, TaskFailure};
use super::shutdown::UnfinishedTask;
use super::{Runner, Stats, hook};
use crate::collect::QueuedTask;
use crate::contain::Contained;
use crate::task::{BoxError, RequestInfo, TaskId, TaskInfo};

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
    pub(super) arguments: Option<String>,
    pub(super) started: Option<Instant>,
    pub(super) watcher: Option<Watcher>,
    /// Queued by an error hook.
    pub(super) by_hook: bool,
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
    Aborted(AbortReason),
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        // Nothing panics while it holds the lock; if something did, the counts would still be
        // whole.
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stats(&self) -> Stats {
        let books = self.books();
        Stats {
            accepted: books.accepted,
            pending: books.entries.len() as u64 - books.running,
            running: books.running,
            completed: books.completed,
            failed: books.failed,
            skipped: books.skipped,
            aborted: books.aborted,
            retries: 0,
        }
    }

    /// What a shutdown aborted, oldest first.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedTask> {
        self.books().unfinished.clone()
    }

    pub(super) fn hold(&self) {
        self.books().holds += 1;
    }

    pub(super) fn release_hold(&self) {
        let mut books = self.books();
        books.holds -= 1;
        self.notify_if_idle(&books);
    }

    /// Completes when no task is without an outcome, and nothing is held.
    pub(super) async fn idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.books().is_idle() {
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

    fn start(&self, place: Place) -> bool {
        let mut books = self.books();
        let Some(entry) = books.entry(place) else {
            return false;
        };
        entry.started = Some(Instant::now());
        books.running += 1;
        true
    }

    /// Takes the task out of the books, unless that has happened already.
    fn close_entry(&self, place: Place, outcome: &Outcome) -> Option<Entry> {
        let mut books = self.books();
        books.entry(place)?;
        let entry = books.entries.remove(place.key);
        books.count(&entry, outcome);
        self.notify_if_idle(&books);
        Some(entry)
    }
}

impl Books {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.holds == 0
    }

    /// The entry, if it is still this task's: the slab uses the keys of settled tasks again.
    fn entry(&mut self, place: Place) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(place.key);
        entry.filter(|entry| entry.id == place.id)
    }

    fn count(&mut self, entry: &Entry, outcome: &Outcome) {
        if entry.started.is_some() {
            self.running -= 1;
        }
        match outcome {
            Outcome::Completed => self.completed += 1,
            Outcome::Failed { .. } => self.failed += 1,
            Outcome::Skipped(_) => self.skipped += 1,
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

/// The right, and the duty, to settle one task's outcome.
pub(crate) struct Ticket {
    runner: Arc<Runner>,
    request: Option<Arc<RequestInfo>>,
    place: Place,
}

impl Ticket {
    pub(super) fn issue(
        runner: &Arc<Runner>,
        queued: &QueuedTask,
        request: Option<Arc<RequestInfo>>,
        watcher: Option<Watcher>,
    ) -> Self {
        let id = queued.id();
        let entry = Entry {
            id,
            task: queued.info(),
            request: request.clone(),
            span: queued.span().clone(),
            arguments: None,
            started: None,
            watcher,
            by_hook: hook::is_telling(),
        };
        let mut books = runner.ledger.books();
        books.accepted += 1;
        let closed = books.closed;
        let key = books.entries.insert(entry);
        drop(books);

        let place = Place { key, id };
        let ticket = Self {
            runner: runner.clone(),
            request,
            place,
        };
        if closed {
            runner.settle(place, Outcome::Aborted(AbortReason::Shutdown));
        }
        ticket
    }

    pub(super) fn request(&self) -> Option<Arc<RequestInfo>> {
        self.request.clone()
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn runner(&self) -> &Arc<Runner> {
        &self.runner
    }

    /// Keeps the task's arguments for the report of its outcome.
    pub(super) fn show(&self, arguments: Option<String>) {
        if arguments.is_none() {
            return;
        }
        if let Some(entry) = self.runner.ledger.books().entry(self.place) {
            entry.arguments = arguments;
        }
    }

    /// Marks the task as running. `false`: it has been settled already, and must not run.
    pub(super) fn start(&self) -> bool {
        self.runner.ledger.start(self.place)
    }

    pub(crate) fn settle(self, outcome: Outcome) {
        self.runner.settle(self.place, outcome);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // A no-op for settled tasks. For others, the future that was to run them is gone.
        self.runner
            .settle(self.place, Outcome::Aborted(AbortReason::Dropped));
    }
}

impl Runner {
    /// Counts the outcome, and reports it where it is not a success. The first outcome of a task
    /// stands.
    fn settle(self: &Arc<Self>, place: Place, outcome: Outcome) {
        if let Some(entry) = self.ledger.close_entry(place, &outcome) {
            self.report(entry, outcome);
        }
    }

    /// Settles a task from its handle.
    pub(crate) fn abort_task(self: &Arc<Self>, place: Place) {
        self.settle(place, Outcome::Aborted(AbortReason::Handle));
    }

    /// Settles everything that has no outcome yet, and refuses what comes after.
    pub(super) fn close_books(self: &Arc<Self>) {
        let entries = {
            let books = &mut *self.ledger.books();
            books.closed = true;
            let mut entries: Vec<Entry> = take(&mut books.entries)
                .into_iter()
                .map(|(_, entry)| entry)
                .collect();
            entries.sort_by_key(|entry| entry.id);
            for entry in &entries {
                books.count(entry, &Outcome::Aborted(AbortReason::Shutdown));
                books.unfinished.push(entry.unfinished());
            }
            self.ledger.notify_if_idle(books);
            entries
        };
        for entry in entries {
            self.report(entry, Outcome::Aborted(AbortReason::Shutdown));
        }
    }
}

impl Entry {
    fn unfinished(&self) -> UnfinishedTask {
        UnfinishedTask::new(
            self.task,
            self.id,
            self.request.clone(),
            self.started.map(|started| started.elapsed()),
        )
    }
}
