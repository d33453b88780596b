//! The store of durable tasks, as it is configured.

use std::sync::Arc;

use super::build_error::Problem;
use crate::durable::{OpenStore, Store};
use crate::task::TaskInfo;

/// The stores that were given: at most one, or there is a problem.
#[derive(Default)]
pub(super) struct Stores {
    given: Vec<Store>,
    /// They are for a test that records tasks, which stores none.
    are_recorded: bool,
}

impl Stores {
    pub(super) fn push(&mut self, store: Store) {
        self.given.push(store);
    }

    /// Notes that tasks are recorded rather than stored.
    pub(super) fn record(&mut self) {
        self.are_recorded = true;
    }

    /// Returns what is wrong for a `Background` that runs tasks.
    pub(super) fn problems(&self, tasks: &[TaskInfo]) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.are_recorded {
            return problems;
        }
        let durable = tasks
            .iter()
            .filter_map(|task| Some((*task, task.durable()?)));
        let Some(store) = self.given.first() else {
            problems.extend(durable.map(|(task, _)| Problem::NoStore(task)));
            return problems;
        };
        if self.given.len() > 1 {
            problems.push(Problem::StoreTwice);
        }
        let settings = store.settings();
        if settings.secret_keys.is_empty() {
            let secret = durable.filter_map(|(task, durable)| {
                let parameter = durable.needs_secret_key()?;
                Some(Problem::NoSecretKey { task, parameter })
            });
            problems.extend(secret);
        }
        problems.extend(store.problems().map(Problem::Store));
        problems
    }

    /// Returns the tasks that run in this process, which has to have what they need.
    pub(super) fn run_here(&self, mut tasks: Vec<TaskInfo>) -> Vec<TaskInfo> {
        let (false, Some(store)) = (self.are_recorded, self.given.first()) else {
            return tasks;
        };
        let settings = store.settings();
        let runs_here = |name| settings.works && settings.runs(name);
        tasks.retain(|task| task.durable().is_none() || runs_here(task.name()));
        tasks
    }

    pub(super) fn open(self) -> Option<Arc<OpenStore>> {
        let store = self
            .given
            .into_iter()
            .next()
            .filter(|_| !self.are_recorded)?;
        Some(Arc::new(store.open()))
    }
}
