use std::collections::HashMap;
use std::sync::Arc;

use super::Refusal;
use super::gate::Gate;
use crate::sync::Mutex;
use crate::task::TaskInfo;

/// The keys of tasks that have no outcome, or whose future is still there.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<HashMap<Key, Uses>>);

/// A task's name, and what the task said.
type Key = (&'static str, Arc<str>);

#[derive(Debug)]
struct Uses {
    /// The key is forgotten with the last.
    holds: usize,
    waiting: usize,
    gate: Option<Gate>,
}

impl Keys {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Notes one more task of this key, which waits to run.
    pub(super) fn admit(self: &Arc<Self>, task: &TaskInfo, key: &str) -> Result<KeyUse, Refusal> {
        let limits = task.limits();
        let key: Key = (task.name(), key.into());
        let mut keys = self.0.lock();
        let uses = keys.entry(key.clone()).or_insert_with(|| Uses {
            holds: 0,
            waiting: 0,
            gate: limits.per_key.map(Gate::new),
        });
        if let Some(limit) = limits
            .pending_per_key
            .filter(|limit| uses.waiting >= *limit)
        {
            return Err(Refusal::Key { key: key.1, limit });
        }
        uses.holds += 1;
        uses.waiting += 1;
        let gate = uses.gate.clone();
        let hold = KeyHold {
            keys: self.clone(),
            key,
        };
        Ok(KeyUse {
            hold,
            waits: true,
            gate,
        })
    }
}

/// One task's share of its key.
#[derive(Debug)]
pub(super) struct KeyUse {
    hold: KeyHold,
    waits: bool,
    gate: Option<Gate>,
}

impl KeyUse {
    /// The gate that the tasks of this key go through one after the other, with a hold on it.
    pub(super) fn gate(&self) -> Option<(Gate, KeyHold)> {
        Some((self.gate.clone()?, self.hold.clone()))
    }

    /// Whether the task waits to run, or runs.
    pub(super) fn set_waits(&mut self, waits: bool) {
        if self.waits == waits {
            return;
        }
        self.waits = waits;
        if let Some(uses) = self.hold.keys.0.lock().get_mut(&self.hold.key) {
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
    }
}

/// Keeps a key, and thereby its gate, the one that others of the key find.
///
/// A run has one of its own: a task that is aborted has its outcome, and no use of its key any more,
/// before its future is dropped.
#[derive(Debug)]
pub(super) struct KeyHold {
    keys: Arc<Keys>,
    key: Key,
}

impl Clone for KeyHold {
    fn clone(&self) -> Self {
        if let Some(uses) = self.keys.0.lock().get_mut(&self.key) {
            uses.holds += 1;
        }
        Self {
            keys: self.keys.clone(),
            key: self.key.clone(),
        }
    }
}

impl Drop for KeyHold {
    fn drop(&mut self) {
        let mut keys = self.keys.0.lock();
        if let Some(uses) = keys.get_mut(&self.key) {
            uses.holds -= 1;
            if uses.holds == 0 {
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
    fn a_key_is_kept_for_a_run_that_has_outlived_its_task() {
        const EXCLUSIVE: &TaskDef = &TaskDef::new("mail.sort").max_per_key(1);
        let keys = Arc::<Keys>::default();
        let aborted = admit(&keys, EXCLUSIVE, "ada").unwrap();
        let (gate, hold) = aborted.gate().unwrap();
        let pass = gate.try_enter().unwrap();
        drop(aborted);
        let next = admit(&keys, EXCLUSIVE, "ada").unwrap();
        let (gate, _hold) = next.gate().unwrap();
        assert!(gate.try_enter().is_none(), "the run is still there");
        drop((pass, hold));
        assert!(gate.try_enter().is_some());
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
