//! The books: every accepted task has an entry until its outcome is settled, exactly once.
//!
//! One lock guards the entries and the counts, so that a snapshot always balances, and so that the
//! first to remove an entry (the run, a handle, a shutdown) decides the outcome.

use std::collections::{HashMap, HashSet};
use std::mem::{replace, take};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use super::history::History;
use super::limits::Permits;
use super::live::LiveTask;
use super::outcome::Outcome;
use super::period::Closed;
use super::run_state::RunState;
use super::unfinished::UnfinishedTask;
use super::{ShutdownReport, Stats};
use crate::scope::is_by_hook;
use crate::sync::Mutex;
use crate::task::{
    AbortReason, BoxTask, Progress, RequestInfo, TaskFailure, TaskId, TaskRef, Tracked, Tracker,
};

/// How many tasks whose runtime is gone a report names. There is no bound on how many there are before a
/// period ends.
const MOST_NAMED: usize = 1_000;

pub(super) struct Ledger {
    books: Mutex<Books>,
    idle: Notify,
    /// How many tasks their handles have aborted.
    aborts: AtomicU64,
    /// Whether the books keep a history. Here, so that no lock is taken where there is none.
    keeps_history: bool,
    /// How many tasks that were dropped with their futures are being reported.
    dropping: AtomicU64,
}

#[derive(Default)]
struct Books {
    entries: Slab<Entry>,
    /// The counts since the start. `pending` is not kept up to date: see [`Books::stats`].
    counts: Stats,
    /// The counts at the last report of a period.
    reported: Stats,
    /// Work besides tasks that a shutdown waits for. An entry leaves the books and a hold for its report
    /// is counted under one lock, and [`Hold::adopt`](super::Hold::adopt) takes that hold over: otherwise
    /// the books would be idle for a moment, and a shutdown would end before the report is out.
    holds: u64,
    /// Set at the end of a period: nothing is entered any more, and nothing begins to run.
    closed: Option<Closed>,
    /// The tasks of this period that were aborted, by its drain or because their runtime is gone.
    unfinished: Vec<UnfinishedTask>,
    /// How many more there are of the second kind than [`MOST_NAMED`].
    unnamed: u64,
    /// How many tasks of this period a shutdown gave back to their store.
    given_back: u64,
    /// The serials of the tasks that their handles aborted, until their guards have asked.
    aborted: HashSet<u64>,
    /// The places of the entries by the serials of their tasks. Only once a task was asked for by its id.
    places: Option<HashMap<u64, usize>>,
    history: History,
}

/// An accepted task without an outcome.
pub(super) struct Entry {
    pub(super) task: TaskRef,
    pub(super) span: Span,
    pub(super) arguments: Option<Box<str>>,
    pub(super) run: RunState,
    /// What its handles watch, once there is one, or the task has reported progress.
    pub(super) tracker: Option<Tracker>,
    /// Wakes what runs the task, or waits to, so that it sees that a handle has aborted it.
    waker: Option<Waker>,
    pub(super) permits: Permits,
    /// Whether an error hook queued the task.
    pub(super) by_hook: bool,
    /// Whether a store has the task: what a shutdown stops goes back there.
    #[cfg(feature = "durable")]
    is_claimed: bool,
}

/// Identifies an entry of the books.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryKey {
    index: usize,
    // The slab reuses the slots of settled tasks. The serials of ids are never reused.
    serial: u64,
}

/// A task is settled already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SettledBefore {
    /// Its handle has aborted it, which is a failure to its list.
    ByHandle,
    /// By a newer task, or by a shutdown.
    Otherwise,
}

/// The parts of an entry that a run needs when it begins.
pub(super) struct Started {
    pub(super) request: Option<Arc<RequestInfo>>,
    /// When it was queued, or the run before this one failed.
    pub(super) waiting_since: Instant,
}

/// The parts of an entry that the report of a failed run needs. The entry stays in the books, because the
/// task will run again.
pub(super) struct FailedRun {
    pub(super) task: TaskRef,
    pub(super) arguments: Option<Box<str>>,
    pub(super) elapsed: Duration,
    pub(super) by_hook: bool,
}

impl Ledger {
    pub(super) fn new(history: usize) -> Self {
        let history = History::new(history);
        Self {
            keeps_history: history.is_kept(),
            books: Mutex::new(Books {
                history,
                ..Books::default()
            }),
            idle: Notify::new(),
            aborts: AtomicU64::new(0),
            dropping: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.books.lock().stats()
    }

    /// Returns the state since the last report of a period, which this is not.
    pub(super) fn report_so_far(&self) -> ShutdownReport {
        let books = self.books.lock();
        let stats = books.stats().since(&books.reported);
        ShutdownReport::new(
            stats,
            books.unfinished(),
            books.unnamed,
            books.given_back,
            None,
        )
    }

    /// Ends a period with its report. The next one counts from here.
    pub(super) fn report(&self, drained_for: Duration) -> ShutdownReport {
        let mut books = self.books.lock();
        let stats = books.stats();
        let since = replace(&mut books.reported, stats);
        let unfinished = books.unfinished();
        books.unfinished.clear();
        let unnamed = take(&mut books.unnamed);
        let given_back = take(&mut books.given_back);
        let stats = stats.since(&since);
        ShutdownReport::new(stats, unfinished, unnamed, given_back, Some(drained_for))
    }

    /// Keeps [`idle`](Self::idle) waiting until [`release_hold`](Self::release_hold).
    pub(super) fn hold(&self) {
        self.books.lock().holds += 1;
    }

    pub(super) fn release_hold(&self) {
        let is_idle = {
            let mut books = self.books.lock();
            books.holds -= 1;
            books.is_idle()
        };
        self.notify_if(is_idle);
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

    /// Not to be called under the lock of the books: it wakes the user's wakers.
    fn notify_if(&self, is_idle: bool) {
        if is_idle {
            self.idle.notify_waiters();
        }
    }

    /// Enters a task. If the books are closed, the entry is returned with its outcome, which is counted,
    /// and a hold for its report.
    #[inline]
    pub(super) fn enter(&self, entry: Entry) -> (EntryKey, Option<(Entry, Outcome)>) {
        let serial = entry.task.id.serial();
        let mut books = self.books.lock();
        books.counts.accepted += 1;
        if let Some(closed) = books.closed {
            let outcome = entry.own(Outcome::of_late_task(closed));
            books.count(&entry, &outcome);
            books.holds += 1;
            let nowhere = EntryKey {
                index: usize::MAX,
                serial,
            };
            return (nowhere, Some((entry, outcome)));
        }
        let index = books.entries.insert(entry);
        if let Some(places) = &mut books.places {
            places.insert(serial, index);
        }
        (EntryKey { index, serial }, None)
    }

    /// Counts a task that the store has taken.
    #[cfg(feature = "durable")]
    pub(super) fn count_stored(&self) {
        self.books.lock().counts.stored += 1;
    }

    /// Counts a task that a limit does not let in and that is not entered, and takes a hold for its report.
    /// Returns its outcome, which is another one if the books are closed.
    pub(super) fn deny(&self, entry: &Entry, outcome: Outcome) -> Outcome {
        let mut books = self.books.lock();
        let outcome = match books.closed {
            Some(closed) => Outcome::of_late_task(closed),
            None => outcome,
        };
        books.counts.accepted += 1;
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

    /// Marks the task as in run `attempt`, of at most `of`. `None` if it is settled already, or if the books are
    /// closed, and it is about to be.
    #[inline]
    pub(super) fn start(&self, key: EntryKey, attempt: u32, of: u32) -> Option<Started> {
        let mut books = self.books.lock();
        if books.closed.is_some() {
            return None;
        }
        let entry = books.entry(key)?;
        let since = Instant::now();
        let before = replace(&mut entry.run, RunState::Running { attempt, of, since });
        let started = Started {
            request: entry.task.request.clone(),
            waiting_since: before.since().unwrap_or(since),
        };
        books.counts.running += 1;
        books.counts.retries += u64::from(attempt > 1);
        Some(started)
    }

    /// Marks the task as waiting for its next run, after one that failed. `None` if it is settled
    /// already.
    pub(super) fn wait_again(&self, key: EntryKey, attempt: u32, of: u32) -> Option<FailedRun> {
        let mut books = self.books.lock();
        let entry = books.entry(key)?;
        let failed = FailedRun {
            task: entry.task.clone(),
            arguments: entry.arguments.clone(),
            elapsed: entry.run.elapsed().unwrap_or_default(),
            by_hook: entry.by_hook,
        };
        let since = Instant::now();
        let was_running = entry.run.is_running();
        entry.run = RunState::After { attempt, of, since };
        books.counts.running -= u64::from(was_running);
        Some(failed)
    }

    /// Returns whether the task has no outcome yet.
    pub(super) fn is_open(&self, key: EntryKey) -> bool {
        self.books.lock().entry(key).is_some()
    }

    pub(super) fn set_progress(&self, key: EntryKey, progress: Progress) {
        let mut books = self.books.lock();
        let tracked = books.entry(key).map(|entry| entry.tracked().clone());
        // Not under the lock: this runs the user's wakers.
        drop(books);
        if let Some(tracked) = tracked {
            tracked.set_progress(progress);
        }
    }

    /// Returns what handles watch of a task, with its entry if it is open. `None` if it is not known any more:
    /// of an ended task that is in the history, only its outcome is.
    pub(super) fn track(&self, id: TaskId) -> Option<(Arc<Tracked>, Option<EntryKey>)> {
        let mut books = self.books.lock();
        let Books {
            entries, places, ..
        } = &mut *books;
        let places = places.get_or_insert_with(|| {
            let entries = entries.iter();
            let places = entries.map(|(index, entry)| (entry.task.id.serial(), index));
            places.collect()
        });
        let serial = id.serial();
        let index = places.get(&serial).copied();
        let open = index.and_then(|index| {
            let entry = entries.get_mut(index)?;
            // A serial is that of one task of this process, but the id may be one of another process.
            let tracked = (entry.task.id == id).then(|| entry.tracked().clone())?;
            Some((tracked, Some(EntryKey { index, serial })))
        });
        open.or_else(|| Some((books.history.ending(id)?, None)))
    }

    /// Returns the outcome of a task that is in the history.
    pub(super) fn outcome(&self, id: TaskId) -> Option<Result<(), TaskFailure>> {
        self.books.lock().history.outcome(id)
    }

    /// Returns the tasks without an outcome, oldest first.
    pub(super) fn live(&self) -> Vec<LiveTask> {
        let mut live: Vec<_> = {
            let books = self.books.lock();
            let entries = books.entries.iter();
            entries.map(|(_, entry)| entry.live()).collect()
        };
        live.sort_by_key(LiveTask::id);
        live
    }

    /// Keeps the outcome of a task for those who ask for it by its id.
    pub(super) fn remember(&self, id: TaskId, outcome: &Result<(), TaskFailure>) {
        if !self.keeps_history {
            return;
        }
        // Without the task itself, whose arguments may own the runner, which owns the history.
        let outcome = outcome.as_ref().map_err(TaskFailure::without_task);
        let outcome = outcome.copied();
        // Dropped after the lock, because it may have the user's error.
        let _forgotten = self.books.lock().history.push(id, outcome);
    }

    /// Returns how a task was settled that is not in the books, and forgets it: for its guard, which asks last.
    pub(super) fn settled_before(&self, key: EntryKey) -> SettledBefore {
        match self.books.lock().aborted.remove(&key.serial) {
            true => SettledBefore::ByHandle,
            false => SettledBefore::Otherwise,
        }
    }

    /// Has every task that is polled look whether it was [aborted](Self::was_aborted).
    pub(super) fn tell_of_abort(&self) {
        self.aborts.fetch_add(1, Ordering::Release);
    }

    /// Returns a number that changes with each task that its handle aborts.
    #[inline]
    pub(super) fn aborts(&self) -> u64 {
        self.aborts.load(Ordering::Acquire)
    }

    pub(super) fn was_aborted(&self, key: EntryKey) -> bool {
        self.books.lock().aborted.contains(&key.serial)
    }

    /// Sets what wakes the task when its handle aborts it. Returns `false` if it has done so already.
    pub(super) fn set_waker(&self, key: EntryKey, waker: Waker) -> bool {
        let mut books = self.books.lock();
        if books.aborted.contains(&key.serial) {
            return false;
        }
        let entry = books.entry(key);
        let replaced = entry.and_then(|entry| entry.waker.replace(waker));
        // Not under the lock, because it is the user's code.
        drop(books);
        drop(replaced);
        true
    }

    /// Takes the task out of the books as [`close_entry`](Self::close_entry) does, and notes that its handle
    /// has aborted it, for what was to run it. Returns what wakes that as well.
    pub(super) fn abort_entry(&self, key: EntryKey) -> Option<(Entry, Option<Waker>)> {
        let outcome = Outcome::Aborted(AbortReason::Handle);
        let mut books = self.books.lock();
        let (mut entry, _) = books.close_entry(key, outcome)?;
        books.aborted.insert(key.serial);
        let waker = entry.waker.take();
        Some((entry, waker))
    }

    /// Takes the task out of the books, with a hold for its report. `None` if it is settled already. The outcome is
    /// another one if a store has the task, and a shutdown stops it.
    #[inline]
    pub(super) fn close_entry(&self, key: EntryKey, outcome: Outcome) -> Option<(Entry, Outcome)> {
        self.books.lock().close_entry(key, outcome)
    }

    /// Closes the books for all that come later, and keeps tasks from beginning. Those that are in the books are
    /// settled when their futures are dropped, or by [`settle_rest`](Self::settle_rest).
    pub(super) fn close(&self, closed: Closed) {
        self.books.lock().closed = Some(closed);
    }

    /// Counts a task that is dropped with its future, while `report` settles and reports it.
    pub(super) fn drop_task(&self, report: impl FnOnce()) {
        self.dropping.fetch_add(1, Ordering::SeqCst);
        report();
        self.dropping.fetch_sub(1, Ordering::SeqCst);
    }

    /// Returns whether a task that was dropped with its future is being reported.
    pub(super) fn is_dropping(&self) -> bool {
        self.dropping.load(Ordering::SeqCst) > 0
    }

    /// Returns how many tasks have no outcome yet.
    pub(super) fn open_tasks(&self) -> usize {
        self.books.lock().entries.len()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.books.lock().closed.is_some()
    }

    /// Counts every task without an outcome as aborted by a shutdown, and takes these out of the books.
    ///
    /// Takes no holds for their reports: `shutdown::drain` makes the reports before it waits for the books
    /// again.
    pub(super) fn settle_rest(&self) -> Vec<(Entry, Outcome)> {
        let (entries, is_idle) = {
            let mut books = self.books.lock();
            let entries = take(&mut books.entries).into_iter();
            let mut entries: Vec<Entry> = entries.map(|(_, entry)| entry).collect();
            entries.sort_by_key(|entry| entry.task.id);
            if let Some(places) = &mut books.places {
                places.clear();
            }
            let left = entries.into_iter().map(|mut entry| {
                let outcome = books.leave(&mut entry, Outcome::Aborted(AbortReason::Shutdown));
                (entry, outcome)
            });
            let left: Vec<_> = left.collect();
            (left, books.is_idle())
        };
        self.notify_if(is_idle);
        entries
    }

    /// Opens the books for another period.
    pub(super) fn open(&self) {
        self.books.lock().closed = None;
    }
}

impl Books {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.holds == 0
    }

    fn entry(&mut self, key: EntryKey) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(key.index);
        entry.filter(|entry| entry.task.id.serial() == key.serial)
    }

    #[inline]
    fn close_entry(&mut self, key: EntryKey, outcome: Outcome) -> Option<(Entry, Outcome)> {
        self.entry(key)?;
        let mut entry = self.entries.remove(key.index);
        if let Some(places) = &mut self.places {
            places.remove(&key.serial);
        }
        let outcome = self.leave(&mut entry, outcome);
        self.holds += 1;
        Some((entry, outcome))
    }

    /// Counts an entry that has left the books, and returns its outcome.
    #[inline]
    fn leave(&mut self, entry: &mut Entry, outcome: Outcome) -> Outcome {
        let outcome = entry.own(outcome);
        if self.history.is_kept() {
            let id = entry.task.id;
            self.history.begin_end(id, entry.tracked().clone());
        }
        self.count(entry, &outcome);
        outcome
    }

    fn stats(&self) -> Stats {
        Stats {
            pending: self.entries.len() as u64 - self.counts.running,
            ..self.counts
        }
    }

    /// Returns the unfinished tasks, oldest first.
    fn unfinished(&self) -> Vec<UnfinishedTask> {
        let mut unfinished = self.unfinished.clone();
        unfinished.sort_by_key(UnfinishedTask::id);
        unfinished
    }

    fn count(&mut self, entry: &Entry, outcome: &Outcome) {
        let counts = &mut self.counts;
        if entry.run.is_running() {
            counts.running -= 1;
        }
        match outcome {
            Outcome::Completed => counts.completed += 1,
            Outcome::Failed { .. } => counts.failed += 1,
            Outcome::Skipped(_) | Outcome::Refused(_) => counts.skipped += 1,
            Outcome::Aborted(reason) => {
                counts.aborted += 1;
                self.note_aborted(entry, *reason);
            }
            #[cfg(feature = "durable")]
            Outcome::Returned { given_back } => {
                counts.returned += 1;
                self.given_back += u64::from(*given_back);
            }
            #[cfg(feature = "durable")]
            Outcome::NotStored(_) => counts.skipped += 1,
        }
    }

    /// Notes a task that did not finish, unless a handle or a test aborted it, or it came too late.
    fn note_aborted(&mut self, entry: &Entry, reason: AbortReason) {
        match reason {
            AbortReason::Shutdown | AbortReason::DueAfterShutdown => {}
            AbortReason::Dropped if self.unfinished.len() < MOST_NAMED => {}
            AbortReason::Dropped => {
                self.unnamed += 1;
                return;
            }
            #[cfg(feature = "durable")]
            AbortReason::Cancelled => return,
            AbortReason::AfterShutdown
            | AbortReason::Handle
            | AbortReason::Taken
            | AbortReason::RecorderDropped => return,
        }
        let unfinished = UnfinishedTask::new(entry.task.clone(), entry.run);
        self.unfinished.push(unfinished);
    }
}

impl Entry {
    pub(super) fn new(
        task: &BoxTask,
        request: Option<Arc<RequestInfo>>,
        tracker: Option<Tracker>,
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
            run: RunState::First {
                since: Instant::now(),
            },
            tracker,
            waker: None,
            permits,
            by_hook: is_by_hook(),
            #[cfg(feature = "durable")]
            is_claimed: task.options().is_claimed,
        }
    }

    /// Returns the outcome of this task where another one would have that.
    #[cfg_attr(
        not(feature = "durable"),
        expect(clippy::unused_self, reason = "only a store changes it")
    )]
    fn own(&self, outcome: Outcome) -> Outcome {
        #[cfg(feature = "durable")]
        if self.is_claimed {
            return outcome.of_claimed();
        }
        outcome
    }

    fn tracked(&mut self) -> &Arc<Tracked> {
        let TaskRef { task, id, .. } = self.task;
        let tracker = self.tracker.get_or_insert_with(|| Tracker::new(task, id));
        tracker.tracked()
    }

    fn live(&self) -> LiveTask {
        let tracker = self.tracker.as_ref();
        let progress = tracker.and_then(|tracker| tracker.tracked().latest());
        LiveTask::new(self.task.clone(), self.run, progress)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use crate::run::{Runner, Settings, period::Closed};
    use crate::task::named;

    /// It is settled when its future is dropped, or with the rest.
    #[tokio::test]
    async fn no_task_begins_when_the_books_are_closed() {
        let runner = Runner::new(Settings::default());
        let accept = || runner.accept(named("task", async {}), None).ok().unwrap();
        let (before, after) = (accept(), accept());
        assert!(before.guard.start(1, &before.task).is_some());
        runner.ledger.close(Closed::UntilServe);
        assert!(after.guard.start(1, &after.task).is_none());
        drop(after);
        assert_eq!(runner.stats().aborted, 1);
        runner.ledger.settle_rest();
        assert_eq!(runner.stats().aborted, 2);
        runner.ledger.open();
        let next = accept();
        assert!(next.guard.start(1, &next.task).is_some());
    }
}
