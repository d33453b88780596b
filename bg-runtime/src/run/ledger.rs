//! The books: every accepted task has an entry until its outcome is settled, exactly once.
//!
//! One lock guards the entries and the counts, so that a snapshot always balances, and so that the
//! first to remove an entry (the run, a handle, a shutdown) decides the outcome.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::Instant;
use tracing::Span;

use super::Stats;
use super::limits::Permits;
use super::outcome::Outcome;
use super::queued_at::QueuedAt;
use super::run_state::RunState;
use super::unfinished::UnfinishedTask;
use crate::scope::is_by_hook;
use crate::sync::Mutex;
use crate::task::{AbortReason, BoxTask, Progress, RequestInfo, TaskFailure, TaskId, TaskRef};

/// Sends a spawned task's outcome to its handle.
pub(super) type OutcomeSender = oneshot::Sender<Result<(), TaskFailure>>;

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
    /// Work besides tasks that a shutdown waits for. An entry leaves the books and a hold for its report
    /// is counted under one lock, and [`Hold::adopt`](super::Hold::adopt) takes that hold over: otherwise
    /// the books would be idle for a moment, and a shutdown would end before the report is out.
    holds: u64,
    /// Set at the end of a shutdown: nothing is entered any more.
    closed: bool,
    /// The tasks that a shutdown aborted.
    unfinished: Vec<UnfinishedTask>,
}

/// An accepted task without an outcome.
pub(super) struct Entry {
    pub(super) task: TaskRef,
    pub(super) span: Span,
    pub(super) arguments: Option<Box<str>>,
    pub(super) run: RunState,
    queued_at: QueuedAt,
    pub(super) sender: Option<OutcomeSender>,
    pub(super) permits: Permits,
    /// The latest progress, once the task reports some or a handle waits for it.
    progress: Option<watch::Sender<Option<Progress>>>,
    /// Whether an error hook queued the task.
    pub(super) by_hook: bool,
}

/// Identifies an entry of the books.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryKey {
    index: usize,
    // The slab reuses the slots of settled tasks. Ids are never reused.
    id: TaskId,
}

/// The parts of an entry that a run needs when it begins.
pub(super) struct Started {
    pub(super) request: Option<Arc<RequestInfo>>,
    pub(super) queued_at: QueuedAt,
}

/// The parts of an entry that the report of a failed run needs. The entry stays in the books, because the
/// task will run again.
pub(super) struct FailedRun {
    pub(super) task: TaskRef,
    pub(super) span: Span,
    pub(super) arguments: Option<Box<str>>,
    pub(super) elapsed: Duration,
    pub(super) by_hook: bool,
}

impl Ledger {
    pub(super) fn stats(&self) -> Stats {
        let books = self.books.lock();
        Stats {
            accepted: books.accepted,
            pending: books.entries.len() as u64 - books.running,
            running: books.running,
            completed: books.completed,
            failed: books.failed,
            skipped: books.skipped,
            aborted: books.aborted,
            retries: books.retries,
        }
    }

    /// Returns the tasks that a shutdown aborted, oldest first.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedTask> {
        let mut unfinished = self.books.lock().unfinished.clone();
        unfinished.sort_by_key(UnfinishedTask::id);
        unfinished
    }

    /// Keeps [`idle`](Self::idle) waiting until [`release_hold`](Self::release_hold).
    pub(super) fn hold(&self) {
        self.books.lock().holds += 1;
    }

    pub(super) fn release_hold(&self) {
        let mut books = self.books.lock();
        books.holds -= 1;
        self.notify_if_idle(&books);
    }

    /// Resolves once every task has an outcome, and nothing is held.
    pub(super) async fn idle(&self) {
        loop {
            // Created before the books are checked: `notify_waiters` wakes it from then on, even if it has
            // not been polled.
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

    /// Enters a task. If the books are closed, the entry is returned, counted as aborted, with a hold
    /// for its report.
    pub(super) fn enter(&self, entry: Entry) -> (EntryKey, Option<Entry>) {
        let id = entry.task.id;
        let mut books = self.books.lock();
        books.accepted += 1;
        if books.closed {
            books.count(&entry, &Outcome::Aborted(AbortReason::AfterShutdown));
            books.holds += 1;
            let nowhere = usize::MAX;
            return (EntryKey { index: nowhere, id }, Some(entry));
        }
        let index = books.entries.insert(entry);
        (EntryKey { index, id }, None)
    }

    /// Counts a task that a limit does not let in and that is not entered, and takes a hold for its report.
    /// Returns its outcome, which is another one if the books are closed.
    pub(super) fn deny(&self, entry: &Entry, outcome: Outcome) -> Outcome {
        let mut books = self.books.lock();
        let outcome = if books.closed {
            Outcome::Aborted(AbortReason::AfterShutdown)
        } else {
            outcome
        };
        books.accepted += 1;
        books.holds += 1;
        books.count(entry, &outcome);
        outcome
    }

    /// Keeps the task's arguments for the report of its outcome.
    pub(super) fn set_arguments(&self, key: EntryKey, arguments: Option<Box<str>>) {
        if let Some(entry) = self.books.lock().entry(key) {
            entry.arguments = arguments;
        }
    }

    /// Marks the task as in run `attempt`, of at most `of`. `None` if it is settled already.
    pub(super) fn start(&self, key: EntryKey, attempt: u32, of: u32) -> Option<Started> {
        let mut books = self.books.lock();
        let entry = books.entry(key)?;
        let since = Instant::now();
        entry.run = RunState::Running { attempt, of, since };
        let started = Started {
            request: entry.task.request.clone(),
            queued_at: entry.queued_at,
        };
        books.running += 1;
        books.retries += u64::from(attempt > 1);
        Some(started)
    }

    /// Marks the task as waiting for its next run, after one that failed. `None` if it is settled
    /// already.
    pub(super) fn wait_again(&self, key: EntryKey, attempt: u32, of: u32) -> Option<FailedRun> {
        let mut books = self.books.lock();
        let entry = books.entry(key)?;
        let failed = FailedRun {
            task: entry.task.clone(),
            span: entry.span.clone(),
            arguments: entry.arguments.clone(),
            elapsed: entry.run.elapsed().unwrap_or_default(),
            by_hook: entry.by_hook,
        };
        entry.run = RunState::After { attempt, of };
        books.running -= 1;
        Some(failed)
    }

    /// Returns whether the task has no outcome yet.
    pub(super) fn is_open(&self, key: EntryKey) -> bool {
        self.books.lock().entry(key).is_some()
    }

    pub(super) fn set_progress(&self, key: EntryKey, progress: Progress) {
        let mut books = self.books.lock();
        let readers = books.entry(key).map(|entry| entry.progress().clone());
        // Not under the lock: sending wakes the readers, which runs the user's wakers.
        drop(books);
        if let Some(readers) = readers {
            readers.send_replace(Some(progress));
        }
    }

    /// Returns a receiver of the task's progress, which has seen none of it yet. `None` if the task is
    /// settled.
    pub(super) fn watch_progress(
        &self,
        key: EntryKey,
    ) -> Option<watch::Receiver<Option<Progress>>> {
        let mut books = self.books.lock();
        let mut progress = books.entry(key)?.progress().subscribe();
        progress.mark_changed();
        Some(progress)
    }

    /// Takes the task out of the books, with a hold for its report. `None` if it is settled already.
    pub(super) fn close_entry(&self, key: EntryKey, outcome: &Outcome) -> Option<Entry> {
        let mut books = self.books.lock();
        books.entry(key)?;
        let entry = books.entries.remove(key.index);
        books.count(&entry, outcome);
        books.holds += 1;
        Some(entry)
    }

    /// Counts every task without an outcome as aborted by a shutdown, takes these out of the books, and
    /// closes the books for all that come later.
    ///
    /// Takes no holds for their reports: `shutdown::drain` makes the reports before it waits for the books
    /// again.
    pub(super) fn close(&self) -> Vec<Entry> {
        let mut books = self.books.lock();
        books.closed = true;
        let entries = take(&mut books.entries).into_iter();
        let mut entries: Vec<Entry> = entries.map(|(_, entry)| entry).collect();
        entries.sort_by_key(|entry| entry.task.id);
        for entry in &entries {
            books.count(entry, &Outcome::Aborted(AbortReason::Shutdown));
        }
        self.notify_if_idle(&books);
        entries
    }
}

impl Books {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.holds == 0
    }

    fn entry(&mut self, key: EntryKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key.index);
        entry.filter(|entry| entry.task.id == key.id)
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
                let unfinished = UnfinishedTask::new(entry.task.clone(), entry.run);
                self.unfinished.push(unfinished);
            }
            Outcome::Aborted(_) => self.aborted += 1,
        }
    }
}

impl Entry {
    pub(super) fn new(
        task: &BoxTask,
        request: Option<Arc<RequestInfo>>,
        sender: Option<OutcomeSender>,
        permits: Permits,
    ) -> Self {
        Self {
            task: TaskRef {
                task: task.info(),
                id: task.id(),
                request,
            },
            span: task.span().clone(),
            arguments: None,
            run: RunState::First,
            queued_at: QueuedAt::now(),
            sender,
            permits,
            progress: None,
            by_hook: is_by_hook(),
        }
    }

    fn progress(&mut self) -> &watch::Sender<Option<Progress>> {
        self.progress
            .get_or_insert_with(|| watch::Sender::new(None))
    }
}
