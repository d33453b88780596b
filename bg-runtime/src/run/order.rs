//! Running the tasks of lists: one after the other, or all at once.

use std::mem::take;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Either, FutureExt};
use tokio::task::JoinSet;

use super::limits::ListSlot;
use super::outcome::Outcome;
use super::task::{TaskEnd, run_task};
use super::{AcceptedTask, Runner};
use crate::scope::Scope;
use crate::task::{AbortReason, Item, SkipReason, TaskInfo, TaskList};

/// The end of a list that did not succeed, which decides what becomes of the tasks behind it.
#[derive(Clone, Copy)]
enum ListEnd {
    Failed(TaskInfo),
    Refused(TaskInfo),
    Aborted(AbortReason),
}

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
                let _ = run_list(&runner, list, &[], &mut slot).await;
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
            end.settle(Vec::new);
        }
    }
}

/// Runs a list. `after` are the tasks outside the list that a failure in it keeps from running.
fn run_list<'a>(
    runner: &'a Arc<Runner>,
    list: TaskList<AcceptedTask>,
    after: &'a [TaskInfo],
    slot: &'a mut ListSlot,
) -> impl Future<Output = Result<(), ListEnd>> + Send + 'a {
    if list.concurrent {
        // Rare, so boxed.
        Either::Left(run_concurrently(runner, list, after, slot).boxed())
    } else {
        let stop_on_error = !list.continue_on_error;
        Either::Right(run_in_order(runner, list.items, stop_on_error, after, slot))
    }
}

async fn run_in_order(
    runner: &Arc<Runner>,
    items: Vec<Item<AcceptedTask>>,
    stop_on_error: bool,
    after: &[TaskInfo],
    slot: &mut ListSlot,
) -> Result<(), ListEnd> {
    let mut result = Ok(());
    let mut items = items.into_iter();
    loop {
        let ended = match items.next() {
            None => return result,
            Some(Item::Task(task)) => run_task(runner, task, slot)
                .await
                .map_err(|end| end.settle(|| kept_back(stop_on_error, items.as_slice(), after))),
            Some(Item::List(list)) => {
                let after = kept_back(stop_on_error, items.as_slice(), after);
                run_nested(runner, list, after, slot).await
            }
            Some(Item::Refused(task)) => Err(ListEnd::Refused(task)),
        };
        if let Err(end) = ended {
            result = result.and(Err(end));
            if stop_on_error {
                items.for_each(|item| item.for_each(&mut |task| end.keep_back(task)));
                return result;
            }
        }
    }
}

async fn run_concurrently(
    runner: &Arc<Runner>,
    list: TaskList<AcceptedTask>,
    after: &[TaskInfo],
    slot: &mut ListSlot,
) -> Result<(), ListEnd> {
    // Each item has a slot of its own. This list needs none while it waits for them, and the task
    // behind it acquires one again.
    slot.release();
    let mut result = Ok(());
    // A `JoinSet`, because only the future that waits for the items is in the `AbortRegistry`: aborting
    // it drops the set, which aborts the items' runs, and their guards settle them.
    let mut running = JoinSet::new();
    for item in list.items {
        let (runner, after) = (runner.clone(), after.to_vec());
        let turn = runner.limits.line_up();
        let item_run = async move {
            let mut slot = turn.wait().await;
            match item {
                Item::Task(task) => run_task(&runner, task, &mut slot)
                    .await
                    .map_err(|end| end.settle(|| after)),
                Item::List(list) => run_nested(&runner, list, after, &mut slot).await,
                Item::Refused(task) => Err(ListEnd::Refused(task)),
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
        // Only a runtime that shuts down causes a join error, and the dropped guards have settled the
        // tasks then.
        result = result.and(ended.unwrap_or(Ok(())));
    }
    result
}

/// Boxed, because a list may hold lists.
fn run_nested<'a>(
    runner: &'a Arc<Runner>,
    list: TaskList<AcceptedTask>,
    after: Vec<TaskInfo>,
    slot: &'a mut ListSlot,
) -> BoxFuture<'a, Result<(), ListEnd>> {
    Box::pin(async move { run_list(runner, list, &after, slot).await })
}

impl TaskEnd {
    /// Settles a task that failed, with the tasks that it keeps from running.
    fn settle(self, kept_back: impl FnOnce() -> Vec<TaskInfo>) -> ListEnd {
        match self {
            Self::Failed { info, guard, error } => {
                let skipped = kept_back();
                guard.settle(Outcome::Failed { error, skipped });
                ListEnd::Failed(info)
            }
            Self::Aborted(reason) => ListEnd::Aborted(reason),
        }
    }
}

impl ListEnd {
    /// Settles a task behind the list, which does not run.
    fn keep_back(self, task: AcceptedTask) {
        match self {
            Self::Failed(failed) => task.skip(SkipReason::EarlierFailure {
                failed: failed.name(),
            }),
            Self::Refused(refused) => task.skip(SkipReason::EarlierRefusal {
                refused: refused.name(),
            }),
            Self::Aborted(reason) => task.abort(reason),
        }
    }
}

/// Returns the tasks that a failure keeps from running: those of `items`, which come after it, if the list
/// stops at failures; and `after`, which are behind the list.
fn kept_back(
    stop_on_error: bool,
    items: &[Item<AcceptedTask>],
    after: &[TaskInfo],
) -> Vec<TaskInfo> {
    let mut infos = Vec::new();
    if stop_on_error {
        for item in items {
            item.visit(&mut |accepted| infos.push(accepted.task.info()));
        }
    }
    infos.extend_from_slice(after);
    infos
}
