use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The limit of how many run at once: tasks of one key, tasks of one name, or lists of a `Background`.
/// Others wait, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct RunLimit(Arc<Semaphore>);

pub(crate) type RunPermit = OwnedSemaphorePermit;

/// The reason why acquiring never fails.
pub(super) const NEVER_CLOSED: &str = "the semaphore of a run limit is never closed";

impl RunLimit {
    pub(in crate::run) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// Returns a permit, if one is free and nothing else waits for it.
    pub(in crate::run) fn try_acquire(&self) -> Option<RunPermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    pub(in crate::run) async fn acquire(&self) -> RunPermit {
        self.0.clone().acquire_owned().await.expect(NEVER_CLOSED)
    }

    /// Like [`acquire`](Self::acquire), as a future that can be stored.
    pub(super) fn acquire_boxed(&self) -> BoxFuture<'static, Result<RunPermit, AcquireError>> {
        Box::pin(self.0.clone().acquire_owned())
    }
}
