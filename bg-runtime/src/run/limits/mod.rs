//! How many tasks may wait, and how many may run at once.
//!
//! A task acquires what it needs in one order: a [`PendingPermit`] while it waits, then the thread of its
//! run before this one, a [`RunPermit`] of its key, a [`RateTurn`], a permit of its name, one of those for
//! synchronous tasks, and the [`ListSlot`] of its list. No task waits for one of them while it holds a later
//! one, so no two tasks can wait for each other. `run/begin.rs` does the waiting.

mod keys;
mod lease;
mod pending;
mod permits;
mod rate_window;
mod rates;
mod running;
mod slots;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use self::keys::{KeyRef, Keys};
pub(super) use self::lease::RunLease;
pub(crate) use self::pending::{PendingLimit, PendingPermit};
pub(crate) use self::permits::Permits;
pub(super) use self::rate_window::NoTurn;
use self::rates::Rates;
pub(super) use self::rates::{RateLine, RateTurn};
pub(super) use self::running::{RunLimit, RunPermit};
pub(super) use self::slots::LaterTurn;
pub(crate) use self::slots::{ListSlot, ListTurn};
use super::EntryKey;
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
    /// read their responses can therefore hold back those of others, for as long as the
    /// [write timeout](crate::Serve::write_timeout) lets them: 30 seconds by default. Under another server,
    /// with the layer alone, there is none: put one on connections from outside. A task that waits for a response of its own server may wait for its own room.
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

/// The default of how many synchronous tasks run at once: a quarter of the threads that tokio's blocking pool
/// has by default, so that most of them are left for files, name resolution and the like.
pub(crate) const MAX_BLOCKING: usize = 128;

/// The limits of one `Background`.
#[derive(Debug)]
pub(crate) struct Limits {
    lists: Option<RunLimit>,
    pending: Option<(Arc<PendingLimit>, Overflow)>,
    blocking: RunLimit,
    keys: Arc<Keys>,
    names: Mutex<HashMap<&'static str, RunLimit>>,
    /// `None` in a test, which waits for no rate.
    rates: Option<Rates>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::new(None, None)
    }
}

impl Limits {
    pub(crate) fn new(
        max_concurrent: Option<usize>,
        max_pending: Option<(usize, Overflow)>,
    ) -> Self {
        Self {
            lists: max_concurrent.map(RunLimit::new),
            pending: max_pending.map(|(limit, overflow)| (PendingLimit::new(limit), overflow)),
            blocking: RunLimit::new(MAX_BLOCKING),
            keys: Arc::default(),
            names: Mutex::default(),
            rates: Some(Rates::default()),
        }
    }

    pub(crate) fn with_max_blocking(mut self, tasks: usize) -> Self {
        self.blocking = RunLimit::new(tasks);
        self
    }

    /// Returns these limits without those that a test does not wait for: the one that responses wait for,
    /// and rates.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.pending = self
            .pending
            .filter(|(_, overflow)| *overflow == Overflow::Reject);
        self.rates = None;
        self
    }

    /// Lets a task in, to wait for its first run. `replace` settles the tasks that it replaces.
    pub(super) fn admit(
        &self,
        task: &TaskInfo,
        key: impl FnOnce() -> Option<String>,
        replace: impl FnMut(EntryKey),
    ) -> Result<Permits, Denial> {
        let is_keyed = task.limits_ref().use_key();
        let key = match is_keyed.then(key).flatten() {
            Some(key) => {
                let (key, replaced) = self.keys.admit(task, &key)?;
                replaced.into_iter().for_each(replace);
                Some(key)
            }
            None => None,
        };
        // After the key, because a task that was replaced leaves room here; and if this refuses, leaving the
        // function gives the key's permit back.
        let pending = match &self.pending {
            Some((pending, Overflow::Reject)) => Some(pending.try_acquire().ok_or_else(|| {
                Denial::Refused(Refusal::Pending {
                    limit: pending.limit(),
                })
            })?),
            _ => None,
        };
        if key.is_none() && self.pending.is_none() {
            return Ok(Permits::default());
        }
        Ok(Permits::new(pending, key))
    }

    /// Lets a task in that a worker has taken from its store, where it has waited: only the limits on what runs apply.
    #[cfg(feature = "durable")]
    pub(super) fn admit_claimed(
        &self,
        task: &TaskInfo,
        key: impl FnOnce() -> Option<String>,
    ) -> Permits {
        let limits = task.limits_ref();
        let is_keyed = limits.per_key.is_some() || limits.rate.is_some();
        match is_keyed.then(key).flatten() {
            Some(key) => Permits::new(None, Some(self.keys.admit_claimed(task, &key))),
            None => Permits::default(),
        }
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

    /// Returns the limits that one run of the task is subject to. `None` if there are none, besides that of
    /// its list.
    #[inline]
    pub(super) fn of_run(&self, task: &TaskInfo, permits: &Permits) -> Option<RunLimits> {
        let limits = task.limits_ref();
        let has_limits = limits.concurrent.is_some() || limits.rate.is_some();
        if !has_limits && permits.are_none() && !task.is_blocking() {
            return None;
        }
        self.limits_of_run(task, permits)
    }

    fn limits_of_run(&self, task: &TaskInfo, permits: &Permits) -> Option<RunLimits> {
        let limits = task.limits_ref();
        let rate = limits.rate.zip(self.rates.as_ref());
        let limits = RunLimits {
            key: permits.key_limit(),
            rate: rate.map(|(rate, rates)| rates.line((task.name(), permits.key()), rate)),
            name: limits.concurrent.map(|limit| self.name_limit(task, limit)),
            blocking: task.is_blocking().then(|| self.blocking.clone()),
        };
        let RunLimits {
            key,
            rate,
            name,
            blocking,
        } = &limits;
        let is_limited = key.is_some() || rate.is_some() || name.is_some() || blocking.is_some();
        is_limited.then_some(limits)
    }

    #[cfg(all(test, shuttle))]
    pub(crate) fn knows_no_keys(&self) -> bool {
        self.keys.is_empty()
    }

    fn name_limit(&self, task: &TaskInfo, concurrent: usize) -> RunLimit {
        let mut names = self.names.lock();
        let limit = names.entry(task.name());
        limit.or_insert_with(|| RunLimit::new(concurrent)).clone()
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

/// The limits that one run is subject to, in the order in which it acquires their permits.
pub(super) struct RunLimits {
    pub(super) key: Option<(RunLimit, KeyRef)>,
    pub(super) rate: Option<Arc<RateLine>>,
    pub(super) name: Option<RunLimit>,
    pub(super) blocking: Option<RunLimit>,
}

/// The permits of one run, which the future of the run holds, and the thread of a synchronous task: see
/// [`RunLease`]. The [`Permits`] of its task may be released before.
#[derive(Default)]
// Rare, so boxed.
pub(super) struct RunPermits(Option<Box<HeldForRun>>);

pub(super) struct HeldForRun {
    /// For the next run of a synchronous task, which waits for the thread of this one.
    pub(super) _thread: Option<RunPermit>,
    // The permit stands first, and so is dropped before the reference to its key: see `KeyRef`.
    pub(super) _key: Option<(RunPermit, KeyRef)>,
    pub(super) rate: Option<RateTurn>,
    pub(super) _name: Option<RunPermit>,
    pub(super) _blocking: Option<RunPermit>,
}

impl RunPermits {
    pub(super) fn new(held: HeldForRun) -> Self {
        Self(Some(Box::new(held)))
    }

    /// Records that the run begins now.
    #[inline]
    pub(super) fn begin(&mut self) {
        if let Some(rate) = self.0.as_mut().and_then(|held| held.rate.as_mut()) {
            rate.begin();
        }
    }
}

/// Why a task was not let in.
pub(super) enum Denial {
    Refused(Refusal),
    /// There are enough tasks of its key ([`OnFull::Ignore`](crate::OnFull::Ignore)).
    Duplicate,
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
    Unfinished {
        key: Arc<str>,
        limit: usize,
    },
    /// It came after a drain, and before the next `serve`.
    Drained,
    /// It was spawned, and is durable.
    #[cfg(feature = "durable")]
    Durable,
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
            Self::Unfinished { key, limit } => write!(
                f,
                "`max_unfinished_per_key` is reached: no more than {limit} with the key `{}` may wait and run together",
                OneLine(key)
            ),
            #[cfg(feature = "durable")]
            Self::Durable => f.write_str(
                "a durable task is not spawned: store it with `background.enqueue(task).await?`, or, if it need not \
                 survive this process, spawn `task.in_process()`",
            ),
            Self::Drained => f.write_str(
                "it was queued after the drain: `serve` has ended, and this `Background` takes no task until \
                 the next `serve`; queue it before the server stops, or call `serve` again",
            ),
        }
    }
}

impl Error for Refusal {}
