use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// How many may run at once: the tasks of one key, those of one name, or the lists of a `Background`.
/// Others wait, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct RunLimit(Arc<Semaphore>);

pub(crate) type RunPermit = OwnedSemaphorePermit;

/// Why acquiring never fails.
pub(super) const NEVER_CLOSED: &str = "the semaphore of a run limit is never closed";

impl RunLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// Returns a permit if there is one at once, and nothing waits for it.
    pub(super) fn try_acquire(&self) -> Option<RunPermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    pub(super) async fn acquire(&self) -> RunPermit {
        self.0.clone().acquire_owned().await.expect(NEVER_CLOSED)
    }

    /// Like [`acquire`](Self::acquire), as a future that can be kept.
    pub(super) fn acquire_boxed(&self) -> BoxFuture<'static, Result<RunPermit, AcquireError>> {
        Box::pin(self.0.clone().acquire_owned())
    }
}
