//! Where accepted tasks go: to the executor, or into the recording of a test.
//!
//! No other module asks which of the two it is. Another way to run tasks would be another arm here.

mod execute;
mod recording;
mod replay;

use std::mem::take;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use self::recording::Recording;
pub(crate) use self::replay::replay;
use super::report::Event;
use super::{AcceptedTask, Executor, Runner};
use crate::scope::Scope;
use crate::task::{BoxTask, Item, SourceOfStates, TaskList};

pub(crate) enum Dispatch {
    Run,
    Record(Arc<Recording>),
}

impl Dispatch {
    /// Returns whether a request's lists wait until its response has been sent. In a test the response
    /// may never be sent, so its tasks are recorded as soon as there is a response.
    pub(super) fn waits_for_sending(&self) -> bool {
        match self {
            Self::Run => true,
            Self::Record(_) => false,
        }
    }

    /// Returns whether durable tasks are stored. In a test they are recorded like all others.
    #[cfg(feature = "durable")]
    pub(super) fn stores(&self) -> bool {
        match self {
            Self::Run => true,
            Self::Record(_) => false,
        }
    }

    /// Takes a request's lists, which run one after the other, in the request's scope. The independent
    /// tasks among theirs line up first, each as a list of its own.
    pub(super) fn lists<const N: usize>(
        &self,
        runner: &Arc<Runner>,
        scope: Scope,
        mut lists: [TaskList<AcceptedTask>; N],
    ) {
        let mut found_one = false;
        for list in lists.iter_mut().filter(|list| list.has_independent) {
            found_one = true;
            self.independent(runner, &scope, list);
        }
        if found_one && lists.iter().all(TaskList::is_empty) {
            return;
        }
        match self {
            Self::Run => execute::lists(runner, scope, lists),
            Self::Record(recording) => recording.record(scope, lists.into()),
        }
    }

    /// Takes a part of the list of tasks that were added while their response's body was being sent.
    pub(super) fn late(
        &self,
        runner: &Arc<Runner>,
        scope: Scope,
        mut part: TaskList<AcceptedTask>,
    ) {
        if part.has_independent {
            self.independent(runner, &scope, &mut part);
            if part.is_empty() {
                return;
            }
        }
        match self {
            Self::Run => execute::lists(runner, scope, [part]),
            Self::Record(recording) => recording.record_late(scope, part),
        }
    }

    /// Takes the independent tasks out of a list, at any depth, and runs each as a list of its own.
    fn independent(&self, runner: &Arc<Runner>, scope: &Scope, list: &mut TaskList<AcceptedTask>) {
        list.has_independent = false;
        *list = take(list).filter_map(&mut |accepted| {
            if !accepted.task.options().independent {
                return Some(Item::Task(accepted));
            }
            let own = [TaskList::of(Item::Task(accepted))];
            match self {
                Self::Run => execute::lists(runner, scope.clone(), own),
                Self::Record(recording) => recording.record(scope.clone(), own.into()),
            }
            None
        });
    }

    /// Takes a task that was spawned.
    pub(super) fn single(&self, runner: &Arc<Runner>, task: AcceptedTask) {
        match self {
            Self::Run => execute::single(runner, task),
            Self::Record(recording) => recording.record_spawned(task),
        }
    }

    /// Steps aside before the first task of a batch: see [`Executor::step_aside`].
    pub(super) async fn step_aside(&self, executor: &Executor) {
        match self {
            Self::Run => executor.step_aside().await,
            Self::Record(_) => {}
        }
    }

    /// Waits until a delay, or the backoff before another run, is over.
    pub(super) async fn wait_until(&self, until: Instant) {
        match self {
            Self::Run => tokio::time::sleep_until(until).await,
            // Tests do not wait. A yield even so: a task that fails for ever must leave the test's own
            // timeout a chance.
            Self::Record(_) => tokio::task::yield_now().await,
        }
    }

    /// Runs the tasks that a shutdown waits for and that do not run on their own.
    pub(super) async fn run_remaining(&self, runner: &Arc<Runner>) {
        match self {
            Self::Run => {}
            Self::Record(recording) => {
                replay(runner, recording).await;
            }
        }
    }

    /// Notes a task that will not run, while its arguments can still be shown.
    pub(super) fn note_skipped(&self, task: &BoxTask, reason: &dyn ToString) {
        match self {
            Self::Run => {}
            Self::Record(recording) => recording.note_skipped(task, reason),
        }
    }

    /// Returns how a task that misses a state could have got it.
    pub(super) fn source_of_states(&self, is_configured: bool) -> SourceOfStates {
        match self {
            Self::Run if is_configured => SourceOfStates::Builder,
            Self::Run => SourceOfStates::Global,
            Self::Record(_) => SourceOfStates::Recorder,
        }
    }

    /// Notes an async error hook that was spawned.
    pub(super) fn note_hook(&self, hook: JoinHandle<()>) {
        match self {
            Self::Run => {}
            Self::Record(recording) => recording.note_hook(hook),
        }
    }

    /// Returns whether [`observe`](Self::observe) shows failures to anything.
    pub(super) fn observes_failures(&self) -> bool {
        match self {
            Self::Run => false,
            Self::Record(_) => true,
        }
    }

    /// Observes everything that happens to a task. The last of the sinks.
    #[inline]
    pub(super) fn observe(&self, event: &Event<'_>) {
        match self {
            Self::Run => {}
            Self::Record(recording) => recording.observe(event),
        }
    }
}
