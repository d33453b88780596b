use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::EntryKey;
use crate::task::TaskFailure;

/// The parts of a spawned task that its handle needs.
pub(crate) struct Spawned {
    pub(crate) outcome: oneshot::Receiver<Result<(), TaskFailure>>,
    /// `None` if the task was refused, or if there is no runtime to run it.
    pub(crate) abort: Option<Abort>,
    /// `None` if the task was refused.
    pub(crate) entry: Option<EntryKey>,
}

/// Drops the future that runs a spawned task. The task itself is settled by its key.
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
