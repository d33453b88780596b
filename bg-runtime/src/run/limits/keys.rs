use std::collections::HashMap;
use std::sync::Arc;

use super::Refusal;
use super::running::RunLimit;
use crate::sync::Mutex;
use crate::task::TaskInfo;

/// The keys of tasks that have no outcome yet, or whose future is still there.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<HashMap<Key, KeyState>>);

/// A task's name, and the key that the task gave.
type Key = (&'static str, Arc<str>);

#[derive(Debug)]
struct KeyState {
    /// The number of [`KeyRef`]s. The key is forgotten with the last one.
    refs: usize,
    waiting: usize,
    limit: Option<RunLimit>,
}

impl Keys {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Counts one more task of this key, which waits to run.
    pub(super) fn admit(
        self: &Arc<Self>,
        task: &TaskInfo,
        key: &str,
    ) -> Result<KeyPermit, Refusal> {
        let limits = task.limits();
        let key: Key = (task.name(), key.into());
        let mut keys = self.0.lock();
        let state = keys.entry(key.clone()).or_insert_with(|| KeyState {
            refs: 0,
            waiting: 0,
            limit: limits.per_key.map(RunLimit::new),
        });
        if let Some(limit) = limits
            .pending_per_key
            .filter(|limit| state.waiting >= *limit)
        {
            // Never for a key that was inserted just now, and that nothing would remove again: `TaskDef`
            // takes no limit of zero.
            return Err(Refusal::Key { key: key.1, limit });
        }
        state.refs += 1;
        state.waiting += 1;
        let limit = state.limit.clone();
        let key = KeyRef {
            keys: self.clone(),
            key,
        };
        Ok(KeyPermit {
            key,
            waiting: true,
            limit,
        })
    }
}

/// One task's counted use of its key.
#[derive(Debug)]
pub(super) struct KeyPermit {
    key: KeyRef,
    waiting: bool,
    limit: Option<RunLimit>,
}

impl KeyPermit {
    /// Returns the limit that the tasks of this key share, with a reference that keeps the key.
    pub(super) fn limit(&self) -> Option<(RunLimit, KeyRef)> {
        Some((self.limit.clone()?, self.key.clone()))
    }

    /// Records whether the task waits or runs.
    pub(super) fn set_waiting(&mut self, waiting: bool) {
        if self.waiting == waiting {
            return;
        }
        self.waiting = waiting;
        if let Some(state) = self.key.keys.0.lock().get_mut(&self.key.key) {
            if waiting {
                state.waiting += 1;
            } else {
                state.waiting -= 1;
            }
        }
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        self.set_waiting(false);
    }
}

/// A reference that keeps a key, so that later tasks of the key find the same limit.
///
/// A run has one of its own, in [`RunPermits`](super::RunPermits): an aborted task has its outcome, and
/// has released its [`Permits`](super::Permits), before its future is dropped. If the key were forgotten
/// in between, the next task of the key would find a fresh limit, and run beside the future that is still
/// there.
#[derive(Debug)]
pub(super) struct KeyRef {
    keys: Arc<Keys>,
    key: Key,
}

impl Clone for KeyRef {
    fn clone(&self) -> Self {
        if let Some(state) = self.keys.0.lock().get_mut(&self.key) {
            state.refs += 1;
        }
        Self {
            keys: self.keys.clone(),
            key: self.key.clone(),
        }
    }
}

impl Drop for KeyRef {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock();
        if let Some(state) = keys.get_mut(&self.key) {
            state.refs -= 1;
            if state.refs == 0 {
                keys.remove(&self.key);
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::task::TaskDef;

    const DEF: &TaskDef = &TaskDef::new("mail.send").max_pending_per_key(2);
    const OTHER: &TaskDef = &TaskDef::new("mail.read").max_pending_per_key(1);

    fn admit(keys: &Arc<Keys>, def: &'static TaskDef, key: &str) -> Option<KeyPermit> {
        keys.admit(&TaskInfo::declared(def), key).ok()
    }

    #[test]
    fn the_tasks_of_each_name_and_key_are_counted_separately() {
        let keys = Arc::<Keys>::default();
        let _ada = [
            admit(&keys, DEF, "ada").unwrap(),
            admit(&keys, DEF, "ada").unwrap(),
        ];
        assert!(admit(&keys, DEF, "ada").is_none());
        assert!(admit(&keys, DEF, "grace").is_some());
        assert!(admit(&keys, OTHER, "ada").is_some());
    }

    #[test]
    fn a_task_counts_as_waiting_until_it_runs_and_between_its_runs() {
        let keys = Arc::<Keys>::default();
        let (mut first, _second) = (
            admit(&keys, DEF, "ada").unwrap(),
            admit(&keys, DEF, "ada").unwrap(),
        );
        first.set_waiting(false);
        let third = admit(&keys, DEF, "ada").expect("the first runs");
        first.set_waiting(true);
        drop(third);
        assert!(admit(&keys, DEF, "ada").is_none());
    }

    #[test]
    fn a_key_is_kept_for_a_run_that_has_outlived_its_task() {
        const EXCLUSIVE: &TaskDef = &TaskDef::new("mail.sort").max_per_key(1);
        let keys = Arc::<Keys>::default();
        let aborted = admit(&keys, EXCLUSIVE, "ada").unwrap();
        let (limit, key) = aborted.limit().unwrap();
        let permit = limit.try_acquire().unwrap();
        drop(aborted);
        let next = admit(&keys, EXCLUSIVE, "ada").unwrap();
        let (limit, _key) = next.limit().unwrap();
        assert!(limit.try_acquire().is_none(), "the run is still there");
        drop((permit, key));
        assert!(limit.try_acquire().is_some());
    }

    #[test]
    fn a_key_is_forgotten_with_its_last_task() {
        let keys = Arc::<Keys>::default();
        let uses = [
            admit(&keys, DEF, "ada").unwrap(),
            admit(&keys, DEF, "ada").unwrap(),
        ];
        assert!(admit(&keys, DEF, "ada").is_none());
        assert!(!keys.is_empty());
        drop(uses);
        assert!(keys.is_empty());
    }
}
