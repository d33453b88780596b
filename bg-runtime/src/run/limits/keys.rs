use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::Refusal;
use super::gate::Gate;
use crate::sync::{Mutex, MutexGuard};
use crate::task::TaskInfo;

/// The keys that tasks without an outcome have.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<HashMap<Key, Uses>>);

/// A task's name, and what the task said.
type Key = (&'static str, Arc<str>);

#[derive(Debug)]
struct Uses {
    all: usize,
    waiting: usize,
    gate: Option<Gate>,
}

impl Keys {
    fn uses(&self) -> MutexGuard<'_, HashMap<Key, Uses>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.uses().is_empty()
    }

    /// Notes one more task of this key, which waits to run.
    pub(super) fn admit(self: &Arc<Self>, task: &TaskInfo, key: &str) -> Result<KeyUse, Refusal> {
        let limits = task.limits();
        let key: Key = (task.name(), key.into());
        let mut keys = self.uses();
        let uses = keys.entry(key.clone()).or_insert_with(|| Uses {
            all: 0,
            waiting: 0,
            gate: limits.per_key.map(Gate::new),
        });
        if let Some(limit) = limits
            .pending_per_key
            .filter(|limit| uses.waiting >= *limit)
        {
            return Err(Refusal::Key { key: key.1, limit });
        }
        uses.all += 1;
        uses.waiting += 1;
        let gate = uses.gate.clone();
        Ok(KeyUse {
            keys: self.clone(),
            key,
            waits: true,
            gate,
        })
    }
}

/// One task's share of its key.
#[derive(Debug)]
pub(super) struct KeyUse {
    keys: Arc<Keys>,
    key: Key,
    waits: bool,
    gate: Option<Gate>,
}

impl KeyUse {
    /// The gate that the tasks of this key go through one after the other.
    pub(super) fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    /// Whether the task waits to run, or runs.
    pub(super) fn set_waits(&mut self, waits: bool) {
        if self.waits == waits {
            return;
        }
        self.waits = waits;
        if let Some(uses) = self.keys.uses().get_mut(&self.key) {
            if waits {
                uses.waiting += 1;
            } else {
                uses.waiting -= 1;
            }
        }
    }
}

impl Drop for KeyUse {
    fn drop(&mut self) {
        self.set_waits(false);
        let mut keys = self.keys.uses();
        if let Some(uses) = keys.get_mut(&self.key) {
            uses.all -= 1;
            if uses.all == 0 {
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

    fn admit(keys: &Arc<Keys>, def: &'static TaskDef, key: &str) -> Option<KeyUse> {
        keys.admit(&TaskInfo::declared(def), key).ok()
    }

    #[test]
    fn each_key_of_each_task_is_counted_by_itself() {
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
    fn a_task_that_runs_leaves_its_place_to_another_and_takes_one_when_it_waits_again() {
        let keys = Arc::<Keys>::default();
        let (mut first, _second) = (
            admit(&keys, DEF, "ada").unwrap(),
            admit(&keys, DEF, "ada").unwrap(),
        );
        first.set_waits(false);
        let third = admit(&keys, DEF, "ada").expect("the first runs");
        first.set_waits(true);
        drop(third);
        assert!(admit(&keys, DEF, "ada").is_none());
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
