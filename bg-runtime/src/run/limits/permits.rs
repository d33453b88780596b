use std::future::pending;
use std::sync::Arc;

use tokio::sync::Notify;

use super::keys::{KeyPermit, KeyRef};
use super::pending::{PendingLimit, PendingPermit};
use super::running::RunLimit;
use crate::run::EntryKey;
use crate::sync::{Mutex, MutexGuard};

/// The permits of one task, from the moment it is queued to its outcome.
///
/// Shared by the task and its entry in the books: settling the task releases everything, even if the
/// task's future lives on. `None` if no limit applies to the task, which then allocates nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permits(Option<Arc<SharedPermits>>);

#[derive(Debug)]
struct SharedPermits {
    held: Mutex<HeldPermits>,
    /// Notified when everything was released for good.
    settled: Notify,
}

#[derive(Debug)]
struct HeldPermits {
    pending: Option<PendingPermit>,
    key: Option<KeyPermit>,
    /// Whether everything was released for good. The future of a settled task may live on for a while,
    /// and must not acquire anything again.
    settled: bool,
    /// Whether a newer task took its room.
    replaced: bool,
}

impl Permits {
    pub(super) fn new(pending: Option<PendingPermit>, key: Option<KeyPermit>) -> Self {
        Self(Some(Arc::new(SharedPermits {
            held: Mutex::new(HeldPermits {
                pending,
                key,
                settled: false,
                replaced: false,
            }),
            settled: Notify::new(),
        })))
    }

    /// Returns whether no limit applies to the task from its being queued to its outcome.
    #[inline]
    pub(super) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    fn held(&self) -> Option<MutexGuard<'_, HeldPermits>> {
        self.0.as_deref().map(|shared| shared.held.lock())
    }

    /// Records that the task is in the books. Returns `false` if a newer task has replaced it before that.
    #[inline]
    pub(in crate::run) fn enter(&self, entry: EntryKey) -> bool {
        let Some(mut held) = self.held() else {
            return true;
        };
        let key = held.key.as_mut();
        key.is_none_or(|key| key.enter(entry))
    }

    /// Returns whether a newer task may replace this one while it waits.
    pub(in crate::run) fn may_be_replaced(&self) -> bool {
        let held = self.held();
        held.is_some_and(|held| held.key.as_ref().is_some_and(KeyPermit::may_be_replaced))
    }

    /// Returns whether the task is settled because a newer task took its room.
    pub(in crate::run) fn was_replaced(&self) -> bool {
        let held = self.held();
        held.is_some_and(|held| held.replaced)
    }

    /// Makes sure that no newer task replaces this one any more, because it is about to run. Returns `false`
    /// if one has.
    #[inline]
    pub(in crate::run) fn leave_line(&self) -> bool {
        let Some(mut held) = self.held() else {
            return true;
        };
        let key = held.key.as_mut();
        key.is_none_or(|key| key.set_waiting(false))
    }

    /// Waits until the task is settled, by something other than its future, which is to wait for nothing
    /// more then. Never ends for a task without permits.
    pub(crate) async fn settled(&self) {
        match &self.0 {
            Some(shared) => shared.settled.notified().await,
            None => pending().await,
        }
    }

    /// Returns whether the task has no permit to wait, but needs one.
    pub(crate) fn needs_pending(&self) -> bool {
        let held = self.held();
        held.is_some_and(|held| held.pending.is_none() && !held.settled)
    }

    pub(crate) fn set_pending(&self, permit: PendingPermit) {
        let Some(mut held) = self.held() else { return };
        if !held.settled {
            held.pending = Some(permit);
        }
    }

    /// Makes sure that the task holds a permit to wait, beyond the limit if there is none.
    pub(super) fn acquire_pending_beyond(&self, limit: &Arc<PendingLimit>) {
        let Some(mut held) = self.held() else { return };
        if held.pending.is_none() && !held.settled {
            held.pending = Some(limit.acquire_beyond());
        }
    }

    /// Returns the limit that the tasks of its key share, if there is one.
    pub(super) fn key_limit(&self) -> Option<(RunLimit, KeyRef)> {
        self.held()?.key.as_ref()?.limit()
    }

    /// Returns the key that the task gave, if its limits use it. `None` too if the task is settled.
    pub(super) fn key(&self) -> Option<Arc<str>> {
        Some(self.held()?.key.as_ref()?.key().clone())
    }

    /// Records whether the task waits or runs.
    pub(super) fn set_waiting(&self, waiting: bool) {
        let Some(mut held) = self.held() else { return };
        if !waiting {
            held.pending = None;
        }
        if let Some(key) = &mut held.key {
            key.set_waiting(waiting);
        }
    }

    /// Releases everything, for good.
    pub(in crate::run) fn release(&self) {
        let Some(shared) = &self.0 else { return };
        let mut held = shared.held.lock();
        held.settled = true;
        held.replaced = held.key.as_mut().is_some_and(|key| !key.set_waiting(false));
        (held.pending, held.key) = (None, None);
        // Not under the lock, because it wakes the task's future.
        drop(held);
        shared.settled.notify_one();
    }
}
