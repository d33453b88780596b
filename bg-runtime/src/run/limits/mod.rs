//! How many tasks may wait, and how many may run at once.
//!
//! A task acquires what it needs in one order: a [`PendingPermit`] while it waits, then a
//! [`RunPermit`] of its key, one of its name, and the [`ListSlot`] of its list. No task waits for one
//! of them while it holds a later one, so no two tasks can wait for each other.

mod keys;
mod pending;
mod permits;
mod running;
mod slots;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use self::keys::{KeyRef, Keys};
pub(crate) use self::pending::{PendingLimit, PendingPermit};
pub(crate) use self::permits::Permits;
use self::running::{RunLimit, RunPermit};
pub(crate) use self::slots::{ListSlot, ListTurn};
use crate::one_line::OneLine;
use crate::sync::Mutex;
use crate::task::TaskInfo;

/// Chooses what happens to tasks for which [`max_pending`](crate::BackgroundBuilder::max_pending) leaves
/// no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// A response whose tasks find no room is held back until there is some. If the client goes away
    /// before that, the tasks are skipped.
    ///
    /// [`Background::spawn`](crate::Background::spawn) never waits, nor do tasks that are added when
    /// their response is on its way: they are let in beyond the limit, and leave that much less room for
    /// others.
    ///
    /// A task keeps its room until it runs, and so until its response has been sent. Clients that do not
    /// read their responses can therefore hold back those of others: put a write timeout on connections
    /// from outside. A task that waits for a response of its own server may wait for its own room.
    ///
    /// The end of a shutdown releases every response that is held back. A server other than
    /// [`Background::serve`](crate::Background::serve) may wait for these responses itself when it
    /// stops, and for ever if the tasks before them do not end: there, call
    /// [`Background::shutdown`](crate::Background::shutdown) while the server stops, rather than after it
    /// has returned.
    Wait,
    /// A task that finds no room when it is queued is refused: it is reported with
    /// [`FailureKind::Rejected`](crate::FailureKind::Rejected), and counted as skipped.
    Reject,
}

/// The limits of one `Background`.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    lists: Option<RunLimit>,
    pending: Option<(Arc<PendingLimit>, Overflow)>,
    keys: Arc<Keys>,
    names: Mutex<HashMap<&'static str, RunLimit>>,
}

impl Limits {
    pub(crate) fn new(
        max_concurrent: Option<usize>,
        max_pending: Option<(usize, Overflow)>,
    ) -> Self {
        Self {
            lists: max_concurrent.map(RunLimit::new),
            pending: max_pending.map(|(limit, overflow)| (PendingLimit::new(limit), overflow)),
            ..Self::default()
        }
    }

    /// Returns these limits without the one that responses wait for.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.pending = self
            .pending
            .filter(|(_, overflow)| *overflow == Overflow::Reject);
        self
    }

    /// Lets a task in, to wait for its first run.
    pub(super) fn admit(
        &self,
        task: &TaskInfo,
        key: impl FnOnce() -> Option<String>,
    ) -> Result<Permits, Refusal> {
        let limits = task.limits();
        let is_keyed = limits.per_key.is_some() || limits.pending_per_key.is_some();
        let key = match is_keyed.then(key).flatten() {
            Some(key) => Some(self.keys.admit(task, &key)?),
            None => None,
        };
        // After the key: if this refuses, leaving the function gives the key's permit back.
        let pending = match &self.pending {
            Some((pending, Overflow::Reject)) => {
                Some(pending.try_acquire().ok_or_else(|| Refusal::Pending {
                    limit: pending.limit(),
                })?)
            }
            _ => None,
        };
        if key.is_none() && self.pending.is_none() {
            return Ok(Permits::default());
        }
        Ok(Permits::new(pending, key))
    }

    /// Returns the limit that responses wait for ([`Overflow::Wait`]).
    pub(crate) fn responses_wait_for(&self) -> Option<&Arc<PendingLimit>> {
        match &self.pending {
            Some((pending, Overflow::Wait)) => Some(pending),
            _ => None,
        }
    }

    /// Releases every response that waits for room, now and until [`open`](Self::open).
    pub(super) fn close(&self) {
        if let Some((pending, _)) = &self.pending {
            pending.close();
        }
    }

    /// Lets responses wait for room again.
    pub(super) fn open(&self) {
        if let Some((pending, _)) = &self.pending {
            pending.open();
        }
    }

    /// Joins the line of lists that wait to run.
    pub(crate) fn line_up(&self) -> ListTurn {
        ListTurn::line_up(self.lists.as_ref())
    }

    /// Acquires what one run of the task needs. Releases the list's slot while it waits for anything
    /// else.
    pub(super) async fn acquire_run(
        &self,
        task: &TaskInfo,
        permits: &Permits,
        slot: &mut ListSlot,
    ) -> RunPermits {
        let key = permits.key_limit();
        let name = self.name_limit(task);
        if key.is_none() && name.is_none() && slot.is_acquired() {
            return RunPermits::default();
        }
        // Rare, so boxed.
        Box::pin(async move {
            let key = match key {
                Some((limit, key)) => Some((acquire(&limit, slot).await, key)),
                None => None,
            };
            let name = match name {
                Some(limit) => Some(acquire(&limit, slot).await),
                None => None,
            };
            slot.acquire().await;
            RunPermits {
                _key: key.map(Box::new),
                _name: name,
            }
        })
        .await
    }

    #[cfg(all(test, shuttle))]
    pub(crate) fn knows_no_keys(&self) -> bool {
        self.keys.is_empty()
    }

    fn name_limit(&self, task: &TaskInfo) -> Option<RunLimit> {
        let concurrent = task.limits().concurrent?;
        let mut names = self.names.lock();
        let limit = names.entry(task.name());
        Some(limit.or_insert_with(|| RunLimit::new(concurrent)).clone())
    }

    /// Records that the task runs.
    pub(super) fn start(&self, permits: &Permits) {
        permits.set_waiting(false);
    }

    /// Records that the task waits for another run.
    pub(super) fn wait_again(&self, permits: &Permits) {
        self.ensure_pending(permits);
        permits.set_waiting(true);
    }

    /// Makes sure that a task holds a permit to wait, beyond the limit if there is no room.
    pub(super) fn ensure_pending(&self, permits: &Permits) {
        if let Some((pending, _)) = &self.pending {
            permits.acquire_pending_beyond(pending);
        }
    }
}

/// The permits of one run, which the future of the run holds. The [`Permits`] of its task may be released
/// before.
#[derive(Debug, Default)]
pub(super) struct RunPermits {
    // The permit stands first, and so is dropped before the reference to its key: see `KeyRef`. Rare, so
    // boxed.
    _key: Option<Box<(RunPermit, KeyRef)>>,
    _name: Option<RunPermit>,
}

/// Acquires a permit, and releases the slot if that means waiting.
async fn acquire(limit: &RunLimit, slot: &mut ListSlot) -> RunPermit {
    if let Some(permit) = limit.try_acquire() {
        return permit;
    }
    slot.release();
    limit.acquire().await
}

/// Why a task was refused: the limit that was reached, or a drain.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Pending {
        limit: usize,
    },
    Key {
        key: Arc<str>,
        limit: usize,
    },
    /// It came after a drain, and before the next `serve`.
    Drained,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pending { limit } => write!(
                f,
                "`max_pending` is reached: no more than {limit} may wait to run"
            ),
            Self::Key { key, limit } => write!(
                f,
                "`max_pending_per_key` is reached: no more than {limit} with the key `{}` may wait to run",
                OneLine(key)
            ),
            Self::Drained => f.write_str(
                "it was queued after the drain: `serve` has ended, and this `Background` takes no task until \
                 the next `serve`; queue it before the server stops, or call `serve` again",
            ),
        }
    }
}

impl Error for Refusal {}
