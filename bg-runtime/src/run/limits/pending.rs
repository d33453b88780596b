use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::sync::Mutex;

/// The limit of how many tasks may wait to run (`max_pending`).
///
/// A task that can neither be refused nor wait for a permit is let in beyond the limit: one that waits for
/// its next run, that was spawned, or that was queued when its response was on its way. Tasks that come
/// later find that much less room.
#[derive(Debug)]
pub(crate) struct PendingLimit {
    limit: usize,
    free: Semaphore,
    /// The number of permits beyond the limit. They are given back before those of `free`.
    excess: Mutex<usize>,
    /// Cancelled while no response waits for permits: at the end of a shutdown.
    closed: Mutex<CancellationToken>,
}

impl PendingLimit {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            limit,
            free: Semaphore::new(limit),
            excess: Mutex::new(0),
            closed: Mutex::default(),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Returns a permit, if there is one.
    pub(crate) fn try_acquire(self: &Arc<Self>) -> Option<PendingPermit> {
        let permit = self.free.try_acquire().ok()?;
        permit.forget();
        Some(PendingPermit(self.clone()))
    }

    /// Returns a permit, beyond the limit if there is none.
    pub(crate) fn acquire_beyond(self: &Arc<Self>) -> PendingPermit {
        // Locked before the semaphore is asked, as in the drop of a permit: one that is given back in
        // between would find the excess not counted yet.
        let mut excess = self.excess.lock();
        match self.free.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(_) => *excess += 1,
        }
        PendingPermit(self.clone())
    }

    /// Waits for `count` permits, and returns them together. If that is more than the limit, it waits
    /// until all others have been given back; once [closed](Self::close), it does not wait.
    pub(crate) async fn acquire_many(self: Arc<Self>, count: usize) -> Vec<PendingPermit> {
        let at_once = u32::try_from(count.min(self.limit)).unwrap_or(u32::MAX);
        let mut permits = Vec::with_capacity(count);
        let closed = self.closed.lock().clone();
        tokio::select! {
            biased;
            acquired = self.free.acquire_many(at_once) => {
                acquired.expect("the semaphore is never closed").forget();
                permits.extend((0..at_once).map(|_| PendingPermit(self.clone())));
            }
            () = closed.cancelled() => {}
        }
        while permits.len() < count {
            permits.push(self.acquire_beyond());
        }
        permits
    }

    /// Ends every wait, now and until [`open`](Self::open).
    pub(crate) fn close(&self) {
        let closed = self.closed.lock().clone();
        // Not under the lock: it wakes the user's wakers.
        closed.cancel();
    }

    /// Lets responses wait again.
    pub(super) fn open(&self) {
        *self.closed.lock() = CancellationToken::new();
    }

    /// Gives a permit back.
    fn give_back(&self) {
        {
            let mut excess = self.excess.lock();
            if *excess > 0 {
                *excess -= 1;
                return;
            }
        }
        // Not under the lock: it wakes the user's wakers.
        self.free.add_permits(1);
        // Tasks may have been let in beyond the limit meanwhile, although there was this permit. They have
        // it, rather than those that come later.
        let mut excess = self.excess.lock();
        while *excess > 0 {
            let Ok(permit) = self.free.try_acquire() else {
                return;
            };
            permit.forget();
            *excess -= 1;
        }
    }
}

/// One waiting task's share of a [`PendingLimit`].
#[derive(Debug)]
pub(crate) struct PendingPermit(Arc<PendingLimit>);

impl Drop for PendingPermit {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn no_more_tasks_wait_than_the_limit_allows() {
        let limit = PendingLimit::new(2);
        let (first, _second) = (limit.try_acquire().unwrap(), limit.try_acquire().unwrap());
        assert!(limit.try_acquire().is_none());
        drop(first);
        assert!(limit.try_acquire().is_some());
    }

    #[test]
    fn tasks_beyond_the_limit_leave_before_another_is_let_in() {
        let limit = PendingLimit::new(1);
        let (permit, excess) = (limit.acquire_beyond(), limit.acquire_beyond());
        drop(permit);
        assert!(limit.try_acquire().is_none());
        drop(excess);
        assert!(limit.try_acquire().is_some());
    }

    #[test]
    fn a_wait_for_permits_ends_when_there_are_enough_for_all() {
        let limit = PendingLimit::new(2);
        let (first, second) = (limit.try_acquire(), limit.try_acquire());
        let mut both = Box::pin(limit.clone().acquire_many(2));
        assert!(both.as_mut().now_or_never().is_none());
        drop(first);
        assert!(both.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(both.as_mut().now_or_never().expect("permits").len(), 2);
        assert!(limit.try_acquire().is_some(), "the permits were given back");
    }

    #[test]
    fn a_list_larger_than_the_limit_waits_until_it_is_alone() {
        let limit = PendingLimit::new(2);
        let first = limit.try_acquire();
        let mut many = Box::pin(limit.clone().acquire_many(5));
        assert!(many.as_mut().now_or_never().is_none());
        drop(first);
        let mut permits = many.as_mut().now_or_never().expect("permits");
        assert_eq!(permits.len(), 5);
        permits.truncate(2);
        assert!(limit.try_acquire().is_none());
        permits.truncate(1);
        assert!(limit.try_acquire().is_some());
    }

    #[test]
    fn a_closed_limit_keeps_no_response_waiting() {
        let limit = PendingLimit::new(1);
        let _permit = limit.try_acquire();
        let mut waiting = Box::pin(limit.clone().acquire_many(3));
        assert!(waiting.as_mut().now_or_never().is_none());
        limit.close();
        assert_eq!(waiting.as_mut().now_or_never().expect("given up").len(), 3);
        limit.open();
        let mut waiting = Box::pin(limit.clone().acquire_many(1));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits again");
    }
}
