use std::sync::Arc;

use super::gate::Gate;
use super::keys::{KeyHold, KeyUse};
use super::room::{Room, Seat};
use crate::sync::{Mutex, MutexGuard};

/// What a task takes up of the limits, from the moment it is queued to its outcome.
///
/// Shared by the future that is to run the task and the books: whoever settles the task gives it all
/// back, also where the future lives on for a while. Nothing is shared where there are no limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admission(Option<Arc<Mutex<Held>>>);

#[derive(Debug)]
struct Held {
    seat: Option<Seat>,
    key: Option<KeyUse>,
    settled: bool,
}

impl Admission {
    /// Holds these, and seats that it is given later.
    pub(super) fn holding(seat: Option<Seat>, key: Option<KeyUse>) -> Self {
        Self(Some(Arc::new(Mutex::new(Held {
            seat,
            key,
            settled: false,
        }))))
    }

    fn held(&self) -> Option<MutexGuard<'_, Held>> {
        self.0.as_deref().map(Mutex::lock)
    }

    /// Whether the task needs no seat any more.
    pub(crate) fn has_seat(&self) -> bool {
        let held = self.held();
        held.is_none_or(|held| held.seat.is_some() || held.settled)
    }

    pub(crate) fn take_seat(&self, seat: Seat) {
        let Some(mut held) = self.held() else { return };
        if !held.settled {
            held.seat = Some(seat);
        }
    }

    /// Takes a seat, whether or not there is room.
    pub(super) fn take_seat_anyway(&self, room: &Arc<Room>) {
        let Some(mut held) = self.held() else { return };
        if held.seat.is_none() && !held.settled {
            held.seat = Some(room.take_anyway());
        }
    }

    /// The gate that the tasks of its key go through, if it has one.
    pub(super) fn gate(&self) -> Option<(Gate, KeyHold)> {
        self.held()?.key.as_ref()?.gate()
    }

    /// Notes that the task waits, or runs.
    pub(super) fn set_waits(&self, waits: bool) {
        let Some(mut held) = self.held() else { return };
        if !waits {
            held.seat = None;
        }
        if let Some(key) = &mut held.key {
            key.set_waits(waits);
        }
    }

    /// Gives everything back, for good.
    pub(in crate::run) fn give_back(&self) {
        let Some(mut held) = self.held() else { return };
        held.settled = true;
        (held.seat, held.key) = (None, None);
    }
}
