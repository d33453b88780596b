use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::sync::Mutex;

/// Room for the tasks that wait to run.
///
/// What cannot be refused, and cannot wait, is let in even so: a task that waits for its next run, or
/// that is queued when its response has gone. Those that come later find that much less room.
#[derive(Debug)]
pub(crate) struct Room {
    limit: usize,
    free: Semaphore,
    /// How many are in beyond the limit.
    excess: Mutex<usize>,
}

impl Room {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            limit,
            free: Semaphore::new(limit),
            excess: Mutex::new(0),
        })
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// A seat, if there is one.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        let permit = self.free.try_acquire().ok()?;
        permit.forget();
        Some(Seat(self.clone()))
    }

    /// A seat, whether or not there is one.
    pub(crate) fn take_anyway(self: &Arc<Self>) -> Seat {
        let mut excess = self.excess.lock();
        match self.free.try_acquire() {
            Ok(permit) => permit.forget(),
            Err(_) => *excess += 1,
        }
        Seat(self.clone())
    }

    /// Waits for `count` seats, which are given together. More than there are at all are given when
    /// everybody else has left. After [`close`](Self::close) they are given at once.
    pub(crate) async fn wait_for(self: Arc<Self>, count: usize) -> Vec<Seat> {
        let at_once = u32::try_from(count.min(self.limit)).unwrap_or(u32::MAX);
        let mut seats = Vec::with_capacity(count);
        if let Ok(permits) = self.free.acquire_many(at_once).await {
            permits.forget();
            seats.extend((0..at_once).map(|_| Seat(self.clone())));
        }
        while seats.len() < count {
            seats.push(self.take_anyway());
        }
        seats
    }

    /// Ends all waiting, now and later.
    pub(crate) fn close(&self) {
        self.free.close();
    }
}

/// One task's part of the [`Room`].
#[derive(Debug)]
pub(crate) struct Seat(Arc<Room>);

impl Drop for Seat {
    fn drop(&mut self) {
        let mut excess = self.0.excess.lock();
        if *excess > 0 {
            *excess -= 1;
        } else {
            self.0.free.add_permits(1);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let room = Room::new(2);
        let (first, _second) = (room.try_take().unwrap(), room.try_take().unwrap());
        assert!(room.try_take().is_none());
        drop(first);
        assert!(room.try_take().is_some());
    }

    #[test]
    fn what_was_let_in_beyond_the_limit_has_to_leave_before_there_is_room() {
        let room = Room::new(1);
        let (seat, excess) = (room.take_anyway(), room.take_anyway());
        drop(seat);
        assert!(room.try_take().is_none());
        drop(excess);
        assert!(room.try_take().is_some());
    }

    #[test]
    fn a_wait_ends_when_there_is_room_for_all() {
        let room = Room::new(2);
        let (first, second) = (room.try_take(), room.try_take());
        let mut both = Box::pin(room.clone().wait_for(2));
        assert!(both.as_mut().now_or_never().is_none());
        drop(first);
        assert!(both.as_mut().now_or_never().is_none());
        drop(second);
        assert_eq!(both.as_mut().now_or_never().expect("room").len(), 2);
        assert!(room.try_take().is_some(), "the seats were given back");
    }

    #[test]
    fn a_list_that_is_larger_than_the_room_has_it_to_itself() {
        let room = Room::new(2);
        let first = room.try_take();
        let mut many = Box::pin(room.clone().wait_for(5));
        assert!(many.as_mut().now_or_never().is_none());
        drop(first);
        let mut seats = many.as_mut().now_or_never().expect("room");
        assert_eq!(seats.len(), 5);
        seats.truncate(2);
        assert!(room.try_take().is_none());
        seats.truncate(1);
        assert!(room.try_take().is_some());
    }

    #[test]
    fn a_closed_room_makes_nobody_wait() {
        let room = Room::new(1);
        let _seat = room.try_take();
        let mut waiting = Box::pin(room.clone().wait_for(3));
        assert!(waiting.as_mut().now_or_never().is_none());
        room.close();
        assert_eq!(waiting.as_mut().now_or_never().expect("given up").len(), 3);
    }
}
