use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::running::RunLimit;
use super::{Denial, Refusal};
use crate::run::EntryKey;
use crate::sync::Mutex;
use crate::task::{OnFull, TaskInfo, TaskLimits};

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
    /// Those that wait, and those that run.
    unfinished: usize,
    limit: Option<RunLimit>,
    /// The waiting tasks that a newer one may replace ([`OnFull::Replace`]), oldest first. A task leaves the
    /// line before it runs, so that the lock decides whether it runs or is replaced.
    line: BTreeMap<Ticket, Option<EntryKey>>,
    next_ticket: Ticket,
}

/// A number in the order in which tasks were admitted.
type Ticket = u64;

impl Keys {
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Counts one more task of this key, which waits to run. Also returns the tasks that it replaces, which
    /// do not run any more, and which the caller settles.
    pub(super) fn admit(
        self: &Arc<Self>,
        task: &TaskInfo,
        key: &str,
    ) -> Result<(KeyPermit, Vec<EntryKey>), Denial> {
        let limits = task.limits_ref();
        let key: Key = (task.name(), key.into());
        let mut keys = self.0.lock();
        let state = keys
            .entry(key.clone())
            .or_insert_with(|| KeyState::new(limits));
        let mut replaced = Vec::new();
        if let Some((excess, refusal)) = state.excess(&key, limits) {
            // Never for a key that was inserted just now, and that nothing would remove again: `TaskDef`
            // takes no limit of zero.
            match limits.on_full {
                OnFull::Ignore => return Err(Denial::Duplicate),
                OnFull::Replace if excess <= state.line.len() => replaced = state.replace(excess),
                OnFull::Replace | OnFull::Reject => return Err(Denial::Refused(refusal)),
            }
        }
        let ticket = (limits.on_full == OnFull::Replace).then(|| state.ticket());
        let permit = self.enter(state, key, ticket);
        Ok((permit, replaced))
    }

    /// Counts one more task of this key, however many there are.
    #[cfg(feature = "durable")]
    pub(super) fn admit_claimed(self: &Arc<Self>, task: &TaskInfo, key: &str) -> KeyPermit {
        let key: Key = (task.name(), key.into());
        let mut keys = self.0.lock();
        let state = keys
            .entry(key.clone())
            .or_insert_with(|| KeyState::new(task.limits_ref()));
        self.enter(state, key, None)
    }

    fn enter(
        self: &Arc<Self>,
        state: &mut KeyState,
        key: Key,
        ticket: Option<Ticket>,
    ) -> KeyPermit {
        state.refs += 1;
        state.waiting += 1;
        state.unfinished += 1;
        KeyPermit {
            limit: state.limit.clone(),
            key: KeyRef {
                keys: self.clone(),
                key,
            },
            place: KeyPlace::Waiting,
            ticket,
            entry: None,
        }
    }
}

impl KeyState {
    fn new(limits: &TaskLimits) -> Self {
        Self {
            refs: 0,
            waiting: 0,
            unfinished: 0,
            limit: limits.per_key.map(RunLimit::new),
            line: BTreeMap::new(),
            next_ticket: 0,
        }
    }

    /// Returns how many waiting tasks have to go before there is room for another, and the limit that says
    /// so. `None` if there is room.
    fn excess(&self, key: &Key, limits: &TaskLimits) -> Option<(usize, Refusal)> {
        let beyond =
            |count: usize, limit: Option<usize>, refusal: fn(Arc<str>, usize) -> Refusal| {
                let limit = limit?;
                let excess = (count + 1).saturating_sub(limit);
                (excess > 0).then(|| (excess, refusal(key.1.clone(), limit)))
            };
        let pending = beyond(self.waiting, limits.pending_per_key, |key, limit| {
            Refusal::Key { key, limit }
        });
        let unfinished = beyond(self.unfinished, limits.unfinished_per_key, |key, limit| {
            Refusal::Unfinished { key, limit }
        });
        pending
            .into_iter()
            .chain(unfinished)
            .max_by_key(|(excess, _)| *excess)
    }

    /// Takes the oldest tasks out of the line. Those that are not in the books yet find out when they
    /// [enter](KeyPermit::enter).
    fn replace(&mut self, count: usize) -> Vec<EntryKey> {
        let taken = (0..count).filter_map(|_| self.line.pop_first());
        let taken: Vec<_> = taken.collect();
        self.waiting -= taken.len();
        self.unfinished -= taken.len();
        taken.into_iter().filter_map(|(_, entry)| entry).collect()
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.line.insert(ticket, None);
        ticket
    }
}

/// One task's counted use of its key.
#[derive(Debug)]
pub(super) struct KeyPermit {
    key: KeyRef,
    place: KeyPlace,
    limit: Option<RunLimit>,
    /// The place in the line of those that may be replaced.
    ticket: Option<Ticket>,
    /// Known once the task is in the books.
    entry: Option<EntryKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyPlace {
    Waiting,
    Running,
    /// A newer task has its room, so it is not counted any more.
    Replaced,
}

impl KeyPermit {
    /// Returns the limit that the tasks of this key share, with a reference that keeps the key.
    pub(super) fn limit(&self) -> Option<(RunLimit, KeyRef)> {
        Some((self.limit.clone()?, self.key.clone()))
    }

    /// Returns the key that the task gave.
    pub(super) fn key(&self) -> &Arc<str> {
        &self.key.key.1
    }

    /// Records that the task is in the books. Returns `false` if it was replaced before that.
    pub(super) fn enter(&mut self, entry: EntryKey) -> bool {
        self.entry = Some(entry);
        let Some(ticket) = self.ticket else {
            return true;
        };
        let mut keys = self.key.keys.0.lock();
        let state = keys.get_mut(&self.key.key);
        match state.and_then(|state| state.line.get_mut(&ticket)) {
            Some(place) => {
                *place = Some(entry);
                true
            }
            None => {
                self.place = KeyPlace::Replaced;
                false
            }
        }
    }

    /// Returns whether a newer task may replace this one, or has.
    pub(super) fn may_be_replaced(&self) -> bool {
        self.ticket.is_some()
    }

    /// Records whether the task waits or runs. Returns `false` if it was replaced, and must not run.
    pub(super) fn set_waiting(&mut self, waiting: bool) -> bool {
        let place = if waiting {
            KeyPlace::Waiting
        } else {
            KeyPlace::Running
        };
        if self.place == place || self.place == KeyPlace::Replaced {
            return self.place == place;
        }
        let Self {
            key, ticket, entry, ..
        } = self;
        let mut keys = key.keys.0.lock();
        if let Some(state) = keys.get_mut(&key.key) {
            if waiting {
                state.waiting += 1;
                state.line.extend(ticket.map(|ticket| (ticket, *entry)));
            } else if ticket.is_some_and(|ticket| state.line.remove(&ticket).is_none()) {
                self.place = KeyPlace::Replaced;
                return false;
            } else {
                state.waiting -= 1;
            }
        }
        self.place = place;
        true
    }
}

impl Drop for KeyPermit {
    fn drop(&mut self) {
        let is_counted = self.set_waiting(false);
        if let Some(state) = self.key.keys.0.lock().get_mut(&self.key.key) {
            state.unfinished -= usize::from(is_counted);
        }
    }
}

/// A reference that keeps a key, so that later tasks of the key find the same limit.
///
/// A run has one of its own, in [`RunPermits`](super::RunPermits): an aborted task has its outcome, and
/// has released its [`Permits`](super::Permits), before its future is dropped. If the key were forgotten
/// in between, the next task of the key would find a fresh limit, and run beside the future that is still
/// there.
#[derive(Debug)]
pub(in crate::run) struct KeyRef {
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
        let admitted = keys.admit(&TaskInfo::declared(def), key);
        admitted.ok().map(|(permit, _)| permit)
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
