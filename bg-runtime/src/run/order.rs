//! Running lists: one task after the other, or all at once.

use std::mem::take;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Either, FutureExt};
use tokio::task::JoinSet;

use super::limits::Slot;
use super::task::Stop;
use super::{Accepted, Runner};
use crate::collect::scope;
use crate::task::{AbortReason, List, Member, SkipReason, TaskInfo};

/// Why a list was no success, as far as those behind it are concerned.
#[derive(Clone, Copy)]
pub(super) enum ListStop {
    Failed(TaskInfo),
    Refused(TaskInfo),
    Shutdown,
}

impl Runner {
    /// Runs lists one after the other. What fails in one never stops the next.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` has space for its arguments twice"
    )]
    pub(super) fn run_lists(
        self: Arc<Self>,
        mut lists: impl AsMut<[List<Accepted>]> + Send,
        mut slot: Slot,
    ) -> impl Future<Output = ()> + Send {
        async move {
            if self.recording.is_none() {
                self.executor.step_aside().await;
            }
            // Taken from where they are, because an iterator that owns them would be as large again.
            for list in lists.as_mut() {
                let list = take(list);
                if !list.is_empty() {
                    let _ = self.run_list(list, &[], &mut slot).await;
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
        self: Arc<Self>,
        accepted: Accepted,
        mut slot: Slot,
    ) -> impl Future<Output = ()> + Send {
        async move {
            if let Err(Stop::Failed(failed)) = self.run_task(accepted, &mut slot).await {
                failed.settle(Vec::new());
            }
        }
    }

    /// Runs a list; `after` are the tasks outside of the list that a failure in it keeps from running.
    fn run_list<'a>(
        self: &'a Arc<Self>,
        list: List<Accepted>,
        after: &'a [TaskInfo],
        slot: &'a mut Slot,
    ) -> impl Future<Output = Result<(), ListStop>> + Send + 'a {
        if list.concurrent {
            // Boxed, because few lists are, and all would have to carry the space for it.
            Either::Left(self.run_concurrently(list, after, slot).boxed())
        } else {
            Either::Right(self.run_in_order(list.members, !list.continue_on_error, after, slot))
        }
    }

    async fn run_in_order(
        self: &Arc<Self>,
        members: Vec<Member<Accepted>>,
        stop_on_error: bool,
        after: &[TaskInfo],
        slot: &mut Slot,
    ) -> Result<(), ListStop> {
        let mut result = Ok(());
        let mut members = members.into_iter();
        loop {
            let ended = match members.next() {
                None => return result,
                Some(Member::Task(task)) => self.run_task(task, slot).await.map_err(|stop| {
                    stop.settle(|| kept_back(stop_on_error, members.as_slice(), after))
                }),
                Some(Member::List(list)) => {
                    let after = kept_back(stop_on_error, members.as_slice(), after);
                    self.run_nested(list, after, slot).await
                }
                Some(Member::Refused(task)) => Err(ListStop::Refused(task)),
            };
            if let Err(stop) = ended {
                result = result.and(Err(stop));
                if stop_on_error {
                    members.for_each(|member| member.for_each(&mut |task| stop.keep_back(task)));
                    return result;
                }
            }
        }
    }

    async fn run_concurrently(
        self: &Arc<Self>,
        list: List<Accepted>,
        after: &[TaskInfo],
        slot: &mut Slot,
    ) -> Result<(), ListStop> {
        // Each member has a slot of its own. This list needs none while it waits for them, and whatever
        // follows it lines up by itself.
        slot.leave();
        let mut result = Ok(());
        // A set, so that members are dropped, and thereby counted, with the future that waits for
        // them.
        let mut running = JoinSet::new();
        for member in list.members {
            let (runner, after) = (self.clone(), after.to_vec());
            let turn = self.limits.line_up();
            running.spawn(scope::within(scope::current(), async move {
                let mut slot = turn.come().await;
                match member {
                    Member::Task(task) => runner
                        .run_task(task, &mut slot)
                        .await
                        .map_err(|stop| stop.settle(|| after)),
                    Member::List(list) => runner.run_nested(list, after, &mut slot).await,
                    Member::Refused(task) => Err(ListStop::Refused(task)),
                }
            }));
        }
        while let Some(ended) = running.join_next().await {
            // A join error is a runtime that shuts down: the tickets have told.
            result = result.and(ended.unwrap_or(Ok(())));
        }
        result
    }

    /// Boxed, because a list may hold lists.
    fn run_nested<'a>(
        self: &'a Arc<Self>,
        list: List<Accepted>,
        after: Vec<TaskInfo>,
        slot: &'a mut Slot,
    ) -> BoxFuture<'a, Result<(), ListStop>> {
        Box::pin(async move { self.run_list(list, &after, slot).await })
    }
}

impl Stop {
    /// Settles the task that stopped, with what it keeps from running.
    fn settle(self, kept_back: impl FnOnce() -> Vec<TaskInfo>) -> ListStop {
        match self {
            Self::Failed(failed) => {
                let task = failed.info;
                failed.settle(kept_back());
                ListStop::Failed(task)
            }
            Self::Shutdown => ListStop::Shutdown,
        }
    }
}

impl ListStop {
    fn keep_back(self, task: Accepted) {
        match self {
            Self::Failed(failed) => task.skip(SkipReason::EarlierFailure {
                failed: failed.name(),
            }),
            Self::Refused(refused) => task.skip(SkipReason::EarlierRefusal {
                refused: refused.name(),
            }),
            Self::Shutdown => task.abort(AbortReason::Shutdown),
        }
    }
}

/// What a failure keeps from running: the members after it, if the list stops, and what is behind
/// the list.
fn kept_back(
    stop_on_error: bool,
    members: &[Member<Accepted>],
    after: &[TaskInfo],
) -> Vec<TaskInfo> {
    let mut infos = Vec::new();
    if stop_on_error {
        for member in members {
            member.visit(&mut |task| infos.push(task.queued.info()));
        }
    }
    infos.extend_from_slice(after);
    infos
}
