//! Tasks that are recorded instead of run, for the testing kit.
//!
//! A ring of `Arc`s: a recorded task has its guard, the guard has the runner, the runner has its
//! `Dispatch`, and that has the recording. The destructor of `testing::Recorder` breaks it with
//! [`close`](Recording::close). A recording that is made in any other way has to be closed as well.

use std::any::TypeId;
use std::collections::VecDeque;
use std::mem::take;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::run::AcceptedTask;
use crate::run::report::{Event, Step};
use crate::scope::Scope;
use crate::sync::Mutex;
use crate::task::{AbortReason, BoxTask, Item, SkipReason, Task, TaskFailure, TaskInfo, TaskList};

/// The tasks that a runner was given, until the test asks for them to run.
#[derive(Default)]
pub(crate) struct Recording {
    // The test's own `PartialEq`, `Clone` and `Debug` run under this lock, and may panic.
    pub(super) tape: Mutex<Tape>,
    /// Notified when something was recorded.
    pub(super) more: Notify,
}

#[derive(Default)]
pub(super) struct Tape {
    pub(super) batches: VecDeque<Batch>,
    /// The number of batches that were ever recorded.
    pub(super) recorded: u64,
    skipped: Vec<SkippedTask>,
    /// The failures that error hooks hear about, except for those of runs that are followed by another.
    pub(super) failures: Vec<TaskFailure>,
    /// The async error hooks that were spawned, and that no replay has waited for yet.
    pub(super) hooks: VecDeque<JoinHandle<()>>,
    closed: bool,
}

/// Lists that run one after the other.
pub(super) struct Batch {
    /// The number of batches that were recorded before it.
    pub(super) number: u64,
    pub(super) cause: Cause,
    pub(super) lists: Vec<TaskList<AcceptedTask>>,
}

pub(super) enum Cause {
    Response(Scope),
    /// The tasks that were added while the body was being sent, as one list.
    Late(Scope),
    /// A single task.
    Spawn,
}

/// A task that does not run, as the messages of assertions show it.
pub(crate) struct SkippedTask {
    pub(crate) info: TaskInfo,
    pub(crate) arguments: Option<String>,
    pub(crate) reason: String,
    task_type: TypeId,
}

impl SkippedTask {
    fn new(task: &BoxTask, reason: &dyn ToString) -> Self {
        Self {
            info: task.info(),
            arguments: task.arguments(),
            reason: reason.to_string(),
            task_type: task.task_type(),
        }
    }
}

impl Recording {
    /// Records the tasks of a response.
    pub(super) fn record(&self, scope: Scope, lists: Vec<TaskList<AcceptedTask>>) {
        self.push(Cause::Response(scope), lists);
    }

    /// Records tasks that were added while the response's body was being sent: a part of the one list that
    /// all of these are in.
    pub(super) fn record_late(&self, scope: Scope, part: TaskList<AcceptedTask>) {
        let is_late = |batch: &&mut Batch| matches!(&batch.cause, Cause::Late(of) if of.is_same_request(&scope));
        let mut tape = self.tape.lock();
        // From the end, because the next task of a body most often follows the one before.
        match tape.batches.iter_mut().rev().find(is_late) {
            Some(batch) => batch.lists[0].append(part),
            None => {
                drop(tape);
                self.push(Cause::Late(scope), vec![part]);
            }
        }
    }

    /// Records a single task.
    pub(super) fn record_spawned(&self, task: AcceptedTask) {
        let list = TaskList::of(Item::Task(task));
        self.push(Cause::Spawn, vec![list]);
    }

    fn push(&self, cause: Cause, lists: Vec<TaskList<AcceptedTask>>) {
        let mut tape = self.tape.lock();
        let batch = Batch {
            number: tape.recorded,
            cause,
            lists,
        };
        if tape.closed {
            // Discarding drops the user's tasks, whose destructors may need the lock.
            drop(tape);
            return batch.discard();
        }
        tape.recorded += 1;
        tape.batches.push_back(batch);
        drop(tape);
        self.more.notify_one();
    }

    /// Keeps what assertions show of a task that does not run.
    pub(super) fn note_skipped(&self, task: &BoxTask, reason: &dyn ToString) {
        let skipped = SkippedTask::new(task, reason);
        self.tape.lock().skipped.push(skipped);
    }

    /// Keeps the failures that are outcomes, but not those of runs that are followed by another.
    pub(super) fn observe(&self, event: &Event<'_>) {
        if let Step::Ended {
            failure: Some(failure),
            ..
        } = event.step
        {
            self.tape.lock().failures.push(failure.clone());
        }
    }

    pub(super) fn note_hook(&self, hook: JoinHandle<()>) {
        self.tape.lock().hooks.push_back(hook);
    }

    /// Shows the tasks that would run, in order.
    pub(crate) fn visit(&self, see: &mut impl FnMut(&BoxTask)) {
        let tape = self.tape.lock();
        for list in tape.batches.iter().flat_map(|batch| &batch.lists) {
            list.visit(&mut |accepted| {
                if accepted.is_open() {
                    see(&accepted.task);
                }
            });
        }
    }

    /// Shows the tasks of type `T` that do not run.
    pub(crate) fn visit_skipped<T: Task>(&self, see: &mut impl FnMut(&SkippedTask)) {
        let tape = self.tape.lock();
        let skipped = tape.skipped.iter();
        skipped
            .filter(|task| task.task_type == TypeId::of::<T>())
            .for_each(&mut *see);
        // A task that was replaced is still in the recording.
        for list in tape.batches.iter().flat_map(|batch| &batch.lists) {
            list.visit(&mut |accepted| {
                let task = &accepted.task;
                if task.task_type() == TypeId::of::<T>() && accepted.permits.was_replaced() {
                    see(&SkippedTask::new(task, &SkipReason::Replaced));
                }
            });
        }
    }

    /// Takes out the tasks of type `T`, which then do not run.
    pub(crate) fn take<T: Task>(&self) -> Vec<T> {
        let mut taken = Vec::new();
        let mut tape = self.tape.lock();
        for list in tape.batches.iter_mut().flat_map(|batch| &mut batch.lists) {
            *list = take(list).filter_map(&mut |accepted| {
                if accepted.is_open() && accepted.task.task_type() == TypeId::of::<T>() {
                    taken.push(accepted);
                    None
                } else {
                    Some(Item::Task(accepted))
                }
            });
        }
        drop(tape);
        taken
            .into_iter()
            .filter_map(AcceptedTask::take_back)
            .collect()
    }

    /// Discards everything that is recorded, now and later. Neither error hooks nor the log hear about it.
    pub(crate) fn close(&self) {
        let batches = {
            let mut tape = self.tape.lock();
            tape.closed = true;
            take(&mut tape.batches)
        };
        batches.into_iter().for_each(Batch::discard);
    }
}

impl Batch {
    fn discard(self) {
        for list in self.lists {
            list.for_each(&mut |task| task.abort(AbortReason::RecorderDropped));
        }
    }
}
