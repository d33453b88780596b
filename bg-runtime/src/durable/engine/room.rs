//! How much of each queue runs here, whichever client of River has claimed it: while one takes over from another, both
//! have claims.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::sync::Mutex;

pub(super) struct Rooms(HashMap<String, Room>);

#[derive(Clone)]
struct Room {
    free: Arc<Semaphore>,
    /// When something of the queue was last claimed, began or ended here.
    stirred: Arc<Mutex<Instant>>,
}

impl Rooms {
    /// `queues` says how many of each run at once.
    pub(super) fn new(queues: &[(String, usize)]) -> Self {
        let rooms = queues.iter().map(|(queue, at_once)| {
            let room = Room {
                free: Arc::new(Semaphore::new(*at_once)),
                stirred: Arc::new(Mutex::new(Instant::now())),
            };
            (queue.clone(), room)
        });
        Self(rooms.collect())
    }

    /// Notes that something was claimed.
    pub(super) fn stir(&self, queue: &str) {
        if let Some(room) = self.0.get(queue) {
            room.stir();
        }
    }

    /// Waits until there is room for one more, which has it until what is returned is dropped.
    pub(super) fn enter(&self, queue: &str) -> impl Future<Output = Option<Seat>> + use<> {
        let room = self.0.get(queue).cloned();
        async move {
            let room = room?;
            // It is never closed.
            let permit = room.free.clone().acquire_owned().await.ok()?;
            room.stir();
            let _permit = permit;
            Some(Seat { room, _permit })
        }
    }

    /// Returns how many more of a queue may run.
    #[cfg(feature = "redis")]
    pub(super) fn free(&self, queue: &str) -> usize {
        let room = self.0.get(queue);
        room.map_or(0, |room| room.free.available_permits())
    }

    /// Returns the queues that have had room, and of which nothing was claimed, for so long.
    #[cfg(any(feature = "postgres", test))]
    pub(super) fn idle_for(&self, long: std::time::Duration) -> Vec<&str> {
        let idle = self.0.iter().filter(|(_, room)| {
            room.free.available_permits() > 0 && room.stirred.lock().elapsed() >= long
        });
        idle.map(|(queue, _)| &**queue).collect()
    }
}

impl Room {
    fn stir(&self) {
        *self.stirred.lock() = Instant::now();
    }
}

/// That of one task which runs.
pub(super) struct Seat {
    room: Room,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.stir();
    }
}

#[cfg(test)]
mod tests {
    use super::Rooms;
    use std::time::Duration;

    /// A queue is idle only if for all of the time something could have been claimed of it.
    #[tokio::test(start_paused = true)]
    async fn a_queue_is_idle_from_when_it_has_room() {
        const LONG: Duration = Duration::from_secs(10);
        let rooms = Rooms::new(&[("one".to_owned(), 1)]);
        assert!(rooms.idle_for(LONG).is_empty());
        let seat = rooms.enter("one").await;
        tokio::time::advance(LONG * 2).await;
        assert!(rooms.idle_for(LONG).is_empty(), "there was no room");
        drop(seat);
        assert!(rooms.idle_for(LONG).is_empty(), "there is room since now");
        tokio::time::advance(LONG).await;
        assert_eq!(rooms.idle_for(LONG), ["one"]);
        rooms.stir("one");
        assert!(rooms.idle_for(LONG).is_empty(), "something was claimed");
    }

    #[tokio::test]
    async fn no_more_of_a_queue_run_than_may_at_once() {
        use futures_util::FutureExt as _;

        let rooms = Rooms::new(&[("one".to_owned(), 1)]);
        let seat = rooms.enter("one").await;
        assert!(seat.is_some());
        let mut next = Box::pin(rooms.enter("one"));
        assert!((&mut next).now_or_never().is_none());
        drop(seat);
        assert!(next.await.is_some());
    }
}
