//! Tasks that are kept instead of run, for the testing kit.
//!
//! What is recorded has its ticket, and the ticket has the runner, which has this: whoever made the
//! recording [closes](Recording::close) it in the end.

mod replay;

use std::any::TypeId;
use std::collections::VecDeque;
use std::mem::take;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Accepted;
use super::ledger::Outcome;
use crate::collect::RequestTasks;
use crate::sync::{Mutex, MutexGuard};
use crate::task::{AbortReason, List, Member, QueuedTask, Task, TaskFailure, TaskInfo};

/// What a runner was given, until somebody wants it run.
#[derive(Default)]
pub(crate) struct Recording {
    tape: Mutex<Tape>,
    /// Something was recorded.
    more: Notify,
}

#[derive(Default)]
struct Tape {
    batches: VecDeque<Batch>,
    /// How many batches there have been.
    recorded: u64,
    skipped: Vec<SkippedTask>,
    /// What error hooks were told of, but for runs that are followed by another.
    failures: Vec<TaskFailure>,
    /// Async error hooks that run.
    hooks: VecDeque<JoinHandle<()>>,
    closed: bool,
}

/// Lists that run one after the other.
struct Batch {
    /// How many were recorded before it.
    number: u64,
    cause: Cause,
    lists: Vec<List<Accepted>>,
}

enum Cause {
    Response(Arc<RequestTasks>),
    /// The tasks that were added while the body was being sent, as one list.
    Late(Arc<RequestTasks>),
    /// A single task, with what its handle stops it by.
    Spawn(CancellationToken),
}

/// A task that does not run, as far as a test wants to know.
pub(crate) struct SkippedTask {
    pub(crate) info: TaskInfo,
    pub(crate) arguments: Option<String>,
    pub(crate) reason: String,
    task_type: TypeId,
}

impl Recording {
    fn tape(&self) -> MutexGuard<'_, Tape> {
        // A test's own code runs under the lock, and may panic: its `PartialEq` and `Clone`.
        self.tape.lock()
    }

    /// Keeps the tasks of a response.
    pub(crate) fn record<const N: usize>(
        &self,
        request: &Arc<RequestTasks>,
        lists: [List<Accepted>; N],
    ) {
        self.push(Cause::Response(request.clone()), lists.into());
    }

    /// Keeps tasks that were added while the response's body was being sent. They are one list, of
    /// which this is a part.
    pub(crate) fn record_late(&self, request: &Arc<RequestTasks>, part: List<Accepted>) {
        let is_late = |batch: &&mut Batch| matches!(&batch.cause, Cause::Late(of) if Arc::ptr_eq(of, request));
        let mut tape = self.tape();
        match tape.batches.iter_mut().find(is_late) {
            Some(batch) => batch.lists[0].members.extend(part.members),
            None => {
                drop(tape);
                self.push(Cause::Late(request.clone()), vec![part]);
            }
        }
    }

    /// Keeps a single task. Cancelling the token drops the future that runs it.
    pub(super) fn record_spawned(&self, task: Accepted) -> CancellationToken {
        let stopped = CancellationToken::new();
        let list = List {
            members: vec![Member::Task(task)],
            ..List::default()
        };
        self.push(Cause::Spawn(stopped.clone()), vec![list]);
        stopped
    }

    fn push(&self, cause: Cause, lists: Vec<List<Accepted>>) {
        let mut tape = self.tape();
        let batch = Batch {
            number: tape.recorded,
            cause,
            lists,
        };
        if tape.closed {
            drop(tape);
            return batch.discard();
        }
        tape.recorded += 1;
        tape.batches.push_back(batch);
        drop(tape);
        self.more.notify_one();
    }

    /// Notes a task that does not run.
    pub(super) fn note_skipped(&self, queued: &QueuedTask, reason: &dyn ToString) {
        let skipped = SkippedTask {
            info: queued.info(),
            arguments: queued.arguments(),
            reason: reason.to_string(),
            task_type: queued.task_type(),
        };
        self.tape().skipped.push(skipped);
    }

    pub(super) fn note_failure(&self, failure: &TaskFailure) {
        self.tape().failures.push(failure.clone());
    }

    /// Notes an error hook that is being told of a failure.
    pub(super) fn wait_for_hook(&self, telling: JoinHandle<()>) {
        self.tape().hooks.push_back(telling);
    }

    /// Shows the tasks that would run, in order.
    pub(crate) fn visit(&self, see: &mut impl FnMut(&QueuedTask)) {
        let tape = self.tape();
        for list in tape.batches.iter().flat_map(|batch| &batch.lists) {
            list.visit(&mut |task| {
                if task.is_open() {
                    see(&task.queued);
                }
            });
        }
    }

    /// Shows the tasks of type `T` that do not run.
    pub(crate) fn visit_skipped<T: Task>(&self, see: &mut impl FnMut(&SkippedTask)) {
        let tape = self.tape();
        let skipped = tape.skipped.iter();
        skipped
            .filter(|task| task.task_type == TypeId::of::<T>())
            .for_each(see);
    }

    /// Takes out the tasks of type `T`, which then do not run.
    pub(crate) fn take<T: Task>(&self) -> Vec<T> {
        let mut taken = Vec::new();
        let mut tape = self.tape();
        for list in tape.batches.iter_mut().flat_map(|batch| &mut batch.lists) {
            *list = take(list).filter_map(&mut |task| {
                if task.is_open() && task.queued.task_type() == TypeId::of::<T>() {
                    taken.push(task);
                    None
                } else {
                    Some(Member::Task(task))
                }
            });
        }
        drop(tape);
        taken.into_iter().filter_map(Accepted::take_back).collect()
    }

    /// Gives up what is recorded, and whatever comes. Nobody is told.
    pub(crate) fn close(&self) {
        let batches = {
            let mut tape = self.tape();
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

impl Accepted {
    fn is_open(&self) -> bool {
        self.ticket.is_open()
    }

    /// The task itself, which does not run then.
    fn take_back<T: Task>(self) -> Option<T> {
        let Self { queued, ticket, .. } = self;
        ticket.settle(Outcome::Aborted(AbortReason::Taken));
        queued.downcast()
    }
}
