//! Running the tasks of lists: one after the other, or all at once.

use std::mem::take;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::abortable::until_aborted;
use super::ledger::SettledBefore;
use super::limits::ListSlot;
use super::outcome::Outcome;
use super::task::{TaskEnd, run_task};
use super::walk::{ListEnd, Members, Next, Walk};
use super::{AcceptedTask, Runner};
use crate::scope::Scope;
use crate::task::{Item, Skipped, TaskList};

/// Runs lists one after the other. A failure in one never stops the next.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has space for its arguments twice"
)]
pub(super) fn run_lists(
    runner: Arc<Runner>,
    mut lists: impl AsMut<[TaskList<AcceptedTask>]> + Send,
    mut slot: ListSlot,
) -> impl Future<Output = ()> + Send {
    async move {
        runner.dispatch.step_aside(&runner.executor).await;
        // Taken out in place, because an iterator that owns the lists would store them a second time.
        for list in lists.as_mut() {
            let list = take(list);
            if !list.is_empty() {
                let _ = run_list(&runner, Walk::new(list), &mut slot).await;
            }
        }
    }
}

/// Runs a task that belongs to no list.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has space for its arguments twice"
)]
pub(super) fn run_single(
    runner: Arc<Runner>,
    task: AcceptedTask,
    mut slot: ListSlot,
) -> impl Future<Output = ()> + Send {
    async move {
        if let Err(end) = run_task(&runner, task, &mut slot).await {
            end.settle(Skipped::default);
        }
    }
}

/// Runs a list, and those inside it, in a loop: a future for each list would hold the next one, to any
/// depth.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has space for its arguments twice"
)]
fn run_list<'a>(
    runner: &'a Arc<Runner>,
    mut walk: Walk,
    slot: &'a mut ListSlot,
) -> impl Future<Output = Result<(), ListEnd>> + Send + 'a {
    async move {
        loop {
            let ended = match walk.next() {
                Next::Task(task) => {
                    let (info, key) = (task.task.info(), task.guard.key());
                    until_aborted(&**runner, key, run_task(runner, task, slot))
                        .await
                        .unwrap_or(Err(TaskEnd::AbortedByHandle(info)))
                        .map_err(|end| end.settle(|| walk.skipped()))
                }
                Next::Concurrent(members) => run_concurrently(runner, members, slot).await,
                Next::End(ended) => return ended,
            };
            if let Err(end) = ended {
                walk.fail(end);
            }
        }
    }
}

/// Boxed, because it is rare, and because a concurrent list may hold others.
fn run_concurrently<'a>(
    runner: &'a Arc<Runner>,
    members: Box<Members>,
    slot: &'a mut ListSlot,
) -> BoxFuture<'a, Result<(), ListEnd>> {
    // Each item has a slot of its own. This list needs none while it waits for them, and the task
    // behind it acquires one again.
    slot.release();
    Box::pin(async move {
        let around = Arc::new(members.around());
        let mut result = Ok(());
        // A `JoinSet`, because only the future that waits for the items is in the `AbortRegistry`:
        // aborting it drops the set, which aborts the items' runs, and their guards settle them.
        let mut running = JoinSet::new();
        for (position, item) in *members {
            let (runner, around) = (runner.clone(), around.clone());
            let turn = runner.limits.line_up();
            let item_run = async move {
                match item {
                    // Its handle can abort it in line as well.
                    Item::Task(task) => {
                        let (info, key) = (task.task.info(), task.guard.key());
                        let run = async {
                            let mut slot = turn.wait().await;
                            run_task(&runner, task, &mut slot).await
                        };
                        let ended = until_aborted(&*runner, key, run).await;
                        ended
                            .unwrap_or(Err(TaskEnd::AbortedByHandle(info)))
                            .map_err(|end| end.settle(|| around.skipped()))
                    }
                    Item::List(list) => {
                        let mut slot = turn.wait().await;
                        let walk = Walk::inside(list, position, (*around).clone());
                        // Rare, so boxed.
                        Box::pin(run_list(&runner, walk, &mut slot)).await
                    }
                    Item::Refused(task) => Err(ListEnd::Refused(task.name())),
                }
            };
            let scope = Scope::current();
            // The scope is entered with the first poll: an item that is dropped before that is reported
            // outside the request.
            running.spawn(async move {
                match scope {
                    Some(scope) => scope.scope(item_run).await,
                    None => item_run.await,
                }
            });
        }
        while let Some(ended) = running.join_next().await {
            // Only a runtime that shuts down causes a join error, and the dropped guards have settled
            // the tasks then.
            result = result.and(ended.unwrap_or(Ok(())));
        }
        result
    })
}

impl TaskEnd {
    /// Settles a task that failed, with the tasks that it keeps from running.
    fn settle(self, skipped: impl FnOnce() -> Skipped) -> ListEnd {
        match self {
            Self::Failed { info, guard, error } => {
                let skipped = skipped();
                match guard.settle(Outcome::Failed { error, skipped }) {
                    Err(SettledBefore::ByHandle) => ListEnd::AbortedByHandle(info.name()),
                    Err(SettledBefore::Otherwise) | Ok(()) => ListEnd::Failed(info.name()),
                }
            }
            Self::Aborted(reason) => ListEnd::Aborted(reason),
            Self::AbortedByHandle(info) => ListEnd::AbortedByHandle(info.name()),
        }
    }
}
