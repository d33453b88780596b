//! The tasks that have ended, as far as `history` keeps them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::task::{TaskFailure, TaskId, Tracked};

/// A task is at every moment in one of three places, so that whoever asks first for its handle and then for
/// its outcome finds one of them: in the books, among those that are being reported, or among the ended.
#[derive(Default)]
pub(super) struct History {
    /// How many ended tasks stay readable. With none, nothing is put here.
    size: usize,
    /// They have left the books, and their sinks are being told.
    ending: HashMap<TaskId, Arc<Tracked>>,
    ended: HashMap<TaskId, Result<(), TaskFailure>>,
    /// Their ids, in the order in which they ended.
    order: VecDeque<TaskId>,
}

impl History {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.size > 0
    }

    pub(super) fn begin_end(&mut self, id: TaskId, tracked: Arc<Tracked>) {
        self.ending.insert(id, tracked);
    }

    /// Adds an outcome. Returns what has to be dropped, outside of the lock: the oldest, beyond the size.
    #[must_use = "not to be dropped under the lock of the books"]
    pub(super) fn push(
        &mut self,
        id: TaskId,
        outcome: Result<(), TaskFailure>,
    ) -> impl Sized + use<> {
        let told = self.ending.remove(&id);
        self.ended.insert(id, outcome);
        self.order.push_back(id);
        let oldest = (self.order.len() > self.size).then(|| self.order.pop_front());
        let forgotten = oldest.flatten().and_then(|id| self.ended.remove(&id));
        (told, forgotten)
    }

    pub(super) fn ending(&self, id: TaskId) -> Option<Arc<Tracked>> {
        self.ending.get(&id).cloned()
    }

    pub(super) fn outcome(&self, id: TaskId) -> Option<Result<(), TaskFailure>> {
        self.ended.get(&id).cloned()
    }
}
