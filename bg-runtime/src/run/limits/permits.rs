use std::sync::Arc;

use super::keys::{KeyPermit, KeyRef};
use super::pending::{PendingLimit, PendingPermit};
use super::running::RunLimit;
use crate::sync::{Mutex, MutexGuard};

/// The permits of one task, from the moment it is queued to its outcome.
///
/// Shared by the task and its entry in the books: settling the task releases everything, even if the
/// task's future lives on. `None` if no limit applies to the task, which then allocates nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permits(Option<Arc<Mutex<HeldPermits>>>);

#[derive(Debug)]
struct HeldPermits {
    pending: Option<PendingPermit>,
    key: Option<KeyPermit>,
    /// Whether everything was released for good. The future of a settled task may live on for a while,
    /// and must not acquire anything again.
    settled: bool,
}

impl Permits {
    pub(super) fn new(pending: Option<PendingPermit>, key: Option<KeyPermit>) -> Self {
        Self(Some(Arc::new(Mutex::new(HeldPermits {
            pending,
            key,
            settled: false,
        }))))
    }

    fn held(&self) -> Option<MutexGuard<'_, HeldPermits>> {
        self.0.as_deref().map(Mutex::lock)
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
        let Some(mut held) = self.held() else { return };
        held.settled = true;
        (held.pending, held.key) = (None, None);
    }
}
