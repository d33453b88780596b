//! How many tasks may be where at once.
//!
//! A task takes what it needs in one order: a seat in the [`Room`] while it waits, then a pass of its
//! [key](keys), a pass of its name, and a [`Slot`] of its list. Nobody waits for one of them while it
//! holds a later one, so no two tasks wait for each other.

mod admission;
mod gate;
mod keys;
mod room;

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::admission::Admission;
use self::gate::{Gate, Pass};
pub(crate) use self::gate::{Slot, Turn};
use self::keys::{KeyHold, Keys};
pub(crate) use self::room::{Room, Seat};
use crate::one_line::OneLine;
use crate::sync::Mutex;
use crate::task::TaskInfo;

/// What happens to tasks for which [`max_pending`](crate::BackgroundBuilder::max_pending) leaves no
/// room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// A response whose tasks find no room is held back until there is some. A client that does not
    /// wait for it ends the wait: then the tasks are skipped.
    ///
    /// [`Background::spawn`](crate::Background::spawn) never waits, nor do tasks that are added when
    /// the response has gone: they are let in beyond the limit, and leave that much less room for
    /// others.
    ///
    /// A task has its room until it runs, and so until its response has been sent. Clients that do not
    /// read their responses can therefore hold back those of others: put a write timeout on connections
    /// from outside. A task that waits for a response of its own server may wait for its own room.
    ///
    /// The end of a shutdown lets go of every response. A server other than
    /// [`Background::serve`](crate::Background::serve) may wait for these responses itself when it
    /// stops, and for ever if the tasks before them do not end: there, call
    /// [`Background::shutdown`](crate::Background::shutdown) beside it, and not when it has returned.
    Wait,
    /// A task that finds no room when it is queued is refused: it is reported with
    /// [`FailureKind::Rejected`](crate::FailureKind::Rejected), and counted as skipped.
    Reject,
}

/// The limits of one `Background`.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    lists: Option<Gate>,
    room: Option<(Arc<Room>, Overflow)>,
    keys: Arc<Keys>,
    names: Mutex<HashMap<&'static str, Gate>>,
}

impl Limits {
    pub(crate) fn new(
        max_concurrent: Option<usize>,
        max_pending: Option<(usize, Overflow)>,
    ) -> Self {
        Self {
            lists: max_concurrent.map(Gate::new),
            room: max_pending.map(|(limit, overflow)| (Room::new(limit), overflow)),
            ..Self::default()
        }
    }

    /// The same limits, but for the room that responses wait for.
    pub(crate) fn without_waiting(mut self) -> Self {
        self.room = self
            .room
            .filter(|(_, overflow)| *overflow == Overflow::Reject);
        self
    }

    /// Lets a task in, to wait for its run.
    pub(super) fn admit(
        &self,
        task: &TaskInfo,
        key: impl FnOnce() -> Option<String>,
    ) -> Result<Admission, Refusal> {
        let limits = task.limits();
        let is_keyed = limits.per_key.is_some() || limits.pending_per_key.is_some();
        let key = match is_keyed.then(key).flatten() {
            Some(key) => Some(self.keys.admit(task, &key)?),
            None => None,
        };
        let seat = match &self.room {
            Some((room, Overflow::Reject)) => {
                Some(room.try_take().ok_or_else(|| Refusal::Room {
                    limit: room.limit(),
                })?)
            }
            _ => None,
        };
        if key.is_none() && self.room.is_none() {
            return Ok(Admission::default());
        }
        Ok(Admission::holding(seat, key))
    }

    /// The room that responses wait for.
    pub(crate) fn room_to_wait_for(&self) -> Option<&Arc<Room>> {
        match &self.room {
            Some((room, Overflow::Wait)) => Some(room),
            _ => None,
        }
    }

    /// Ends all waiting for room.
    pub(super) fn close(&self) {
        if let Some((room, _)) = &self.room {
            room.close();
        }
    }

    /// A place among the lists that wait to run.
    pub(super) fn line_up(&self) -> Turn {
        Turn::line_up(self.lists.as_ref())
    }

    /// What one run of the task needs. Waits outside the list's slot.
    pub(super) async fn passes(
        &self,
        task: &TaskInfo,
        admission: &Admission,
        slot: &mut Slot,
    ) -> Passes {
        let key = admission.gate();
        let name = self.gate_of(task);
        if key.is_none() && name.is_none() && slot.is_entered() {
            return Passes::default();
        }
        // Boxed, because most tasks have no limits, and all would have to carry the space for it.
        Box::pin(async move {
            let key = match key {
                Some((gate, hold)) => Some((enter(&gate, slot).await, hold)),
                None => None,
            };
            let name = match name {
                Some(gate) => Some(enter(&gate, slot).await),
                None => None,
            };
            slot.enter().await;
            Passes {
                _key: key.map(Box::new),
                _name: name,
            }
        })
        .await
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn knows_no_keys(&self) -> bool {
        self.keys.is_empty()
    }

    fn gate_of(&self, task: &TaskInfo) -> Option<Gate> {
        let limit = task.limits().concurrent?;
        let mut names = self.names.lock();
        let gate = names.entry(task.name()).or_insert_with(|| Gate::new(limit));
        Some(gate.clone())
    }

    /// Notes that the task runs.
    pub(super) fn start(&self, admission: &Admission) {
        admission.set_waits(false);
    }

    /// Notes that the task waits for another run.
    pub(super) fn wait_again(&self, admission: &Admission) {
        self.seat(admission);
        admission.set_waits(true);
    }

    /// Gives the task a seat, whether or not there is room.
    pub(crate) fn seat(&self, admission: &Admission) {
        if let Some((room, _)) = &self.room {
            admission.take_seat_anyway(room);
        }
    }
}

/// What a task holds while it runs.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// The pass goes before the hold. Boxed, because few tasks have a key.
    _key: Option<Box<(Pass, KeyHold)>>,
    _name: Option<Pass>,
}

/// Goes through the gate, and leaves the slot if that means to wait.
async fn enter(gate: &Gate, slot: &mut Slot) -> Pass {
    if let Some(pass) = gate.try_enter() {
        return pass;
    }
    slot.leave();
    gate.enter().await
}

/// Why a task was not let in.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Room { limit: usize },
    Key { key: Arc<str>, limit: usize },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Room { limit } => write!(
                f,
                "`max_pending` is reached: no more than {limit} may wait to run"
            ),
            Self::Key { key, limit } => write!(
                f,
                "`max_pending_per_key` is reached: no more than {limit} with the key `{}` may wait to run",
                OneLine(key)
            ),
        }
    }
}

impl Error for Refusal {}
