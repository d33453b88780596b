//! Lists of tasks, and running them.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::failure::SkipReason;
use super::{Accepted, Runner};
use crate::collect::scope;
use crate::task::TaskInfo;

/// Tasks that belong together.
pub(crate) struct List<T> {
    pub(crate) members: Vec<Member<T>>,
    pub(crate) concurrent: bool,
    pub(crate) continue_on_error: bool,
}

/// A task, or a list that keeps its own rules inside another one.
pub(crate) enum Member<T> {
    Task(T),
    List(List<T>),
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
            concurrent: false,
            continue_on_error: false,
        }
    }
}

impl<T> List<T> {
    pub(crate) fn concurrent() -> Self {
        Self {
            concurrent: true,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.iter().all(Member::is_empty)
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<U>) -> List<U> {
        let members = self
            .members
            .into_iter()
            .filter_map(|member| member.filter_map(f))
            .collect();
        List {
            members,
            concurrent: self.concurrent,
            continue_on_error: self.continue_on_error,
        }
    }

    pub(crate) fn for_each(self, f: &mut impl FnMut(T)) {
        for member in self.members {
            member.for_each(f);
        }
    }
}

impl<T> Member<T> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Task(_) => false,
            Self::List(list) => list.is_empty(),
        }
    }

    pub(crate) fn filter_map<U>(self, f: &mut impl FnMut(T) -> Option<U>) -> Option<Member<U>> {
        match self {
            Self::Task(task) => f(task).map(Member::Task),
            Self::List(list) => Some(Member::List(list.filter_map(f))),
        }
    }

    fn for_each(self, f: &mut impl FnMut(T)) {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => list.for_each(f),
        }
    }

    fn visit(&self, f: &mut impl FnMut(&T)) {
        match self {
            Self::Task(task) => f(task),
            Self::List(list) => list.members.iter().for_each(|member| member.visit(f)),
        }
    }
}

/// The first task of a list that failed.
#[derive(Clone, Copy)]
struct FirstFailure(TaskInfo);

impl Runner {
    /// Runs lists one after the other. What fails in one never stops the next.
    pub(crate) async fn run_lists(
        self: &Arc<Self>,
        lists: impl IntoIterator<Item = List<Accepted>>,
    ) {
        for list in lists {
            let _ = self.run_list(list, &[]).await;
        }
    }

    pub(super) async fn run_single(self: &Arc<Self>, accepted: Accepted) {
        if let Err(failed) = self.run_task(accepted).await {
            failed.settle(Vec::new());
        }
    }

    /// `after` are the tasks outside of the list that a failure in it keeps from running.
    async fn run_list(
        self: &Arc<Self>,
        list: List<Accepted>,
        after: &[TaskInfo],
    ) -> Result<(), FirstFailure> {
        if list.concurrent {
            self.run_concurrently(list, after).await
        } else {
            self.run_in_order(list, after).await
        }
    }

    async fn run_in_order(
        self: &Arc<Self>,
        list: List<Accepted>,
        after: &[TaskInfo],
    ) -> Result<(), FirstFailure> {
        let mut result = Ok(());
        let stop_on_error = !list.continue_on_error;
        let mut members = list.members.into_iter();
        while let Some(member) = members.next() {
            let ended = match member {
                Member::Task(task) => self.run_task(task).await.map_err(|failed| {
                    let first = FirstFailure(failed.info);
                    failed.settle(kept_back(stop_on_error, members.as_slice(), after));
                    first
                }),
                Member::List(list) => {
                    let after = kept_back(stop_on_error, members.as_slice(), after);
                    self.run_nested(list, after).await
                }
            };
            if let Err(failed) = ended {
                result = result.and(Err(failed));
                if stop_on_error {
                    let reason = SkipReason::EarlierFailure {
                        failed: failed.0.name(),
                    };
                    let mut skip = |task: Accepted| task.skip(reason);
                    members.for_each(|member| member.for_each(&mut skip));
                    break;
                }
            }
        }
        result
    }

    async fn run_concurrently(
        self: &Arc<Self>,
        list: List<Accepted>,
        after: &[TaskInfo],
    ) -> Result<(), FirstFailure> {
        // A set, so that members are dropped, and thereby counted, with the future that waits for
        // them.
        let mut running = JoinSet::new();
        for member in list.members {
            let (runner, after) = (self.clone(), after.to_vec());
            running.spawn(scope::within(scope::current(), async move {
                match member {
                    Member::Task(task) => runner.run_task(task).await.map_err(|failed| {
                        let first = FirstFailure(failed.info);
                        failed.settle(after);
                        first
                    }),
                    Member::List(list) => runner.run_nested(list, after).await,
                }
            }));
        }
        let mut result = Ok(());
        while let Some(ended) = running.join_next().await {
            // A join error is a runtime that shuts down: the tickets have told.
            result = result.and(ended.unwrap_or(Ok(())));
        }
        result
    }

    /// Boxed, because a list may hold lists.
    fn run_nested(
        self: &Arc<Self>,
        list: List<Accepted>,
        after: Vec<TaskInfo>,
    ) -> BoxFuture<'static, Result<(), FirstFailure>> {
        let runner = self.clone();
        Box::pin(async move { runner.run_list(list, &after).await })
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
