use std::sync::Arc;

use super::RunPermits;
use super::running::RunPermit;
use super::slots::ListSlot;
use crate::task::ThreadShare;

/// What a run of a synchronous task holds, with the slot of its list: the run and its thread have a share
/// each, so that a thread that outlives its run keeps everything until it ends.
///
/// Nothing stops such a thread. If its permits came back with the run, the next task of its key would run
/// beside it.
pub(in crate::run) struct RunLease(Arc<Leased>);

struct Leased {
    _permits: RunPermits,
    slot: Option<RunPermit>,
}

impl RunLease {
    pub(in crate::run) fn new(permits: RunPermits, slot: &mut ListSlot) -> Self {
        Self(Arc::new(Leased {
            _permits: permits,
            slot: slot.take(),
        }))
    }

    /// Returns the share of the thread.
    pub(in crate::run) fn share(&self) -> ThreadShare {
        ThreadShare::new(self.0.clone())
    }

    /// Ends the run, and gives the slot back to its list. If the thread goes on, the list has to line up
    /// again.
    pub(in crate::run) fn end(self, slot: &mut ListSlot) {
        if let Some(leased) = Arc::into_inner(self.0) {
            slot.put_back(leased.slot);
        }
    }
}
