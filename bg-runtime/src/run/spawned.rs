use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::EntryKey;
use crate::task::TaskFailure;

/// A spawned task, as its handle sees it.
pub(crate) struct Spawned {
    pub(crate) outcome: oneshot::Receiver<Result<(), TaskFailure>>,
    pub(crate) abort: Option<Abort>,
    /// `None` if the task was refused.
    pub(crate) key: Option<EntryKey>,
}

/// The way to drop the future that runs a spawned task.
pub(crate) enum Abort {
    Spawned(AbortHandle),
    Recorded(CancellationToken),
}

impl Abort {
    pub(crate) fn abort(&self) {
        match self {
            Self::Spawned(future) => future.abort(),
            Self::Recorded(token) => token.cancel(),
        }
    }
}
