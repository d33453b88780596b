use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Lets a number of holders through at once; others wait, in the order in which they came.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

/// Held by whoever went through.
pub(crate) type Pass = OwnedSemaphorePermit;

const OPEN: &str = "a gate is never closed";

impl Gate {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }

    /// Goes through if that is possible at once. Whoever waits already comes first.
    pub(super) fn try_enter(&self) -> Option<Pass> {
        self.0.clone().try_acquire_owned().ok()
    }

    pub(super) async fn enter(&self) -> Pass {
        self.0.clone().acquire_owned().await.expect(OPEN)
    }
}

/// The place of a list among those that run at once.
///
/// Whoever waits for something else does so outside: a list that held its slot while it waits would
/// keep others from running, and might even keep what it waits for from coming about.
#[derive(Debug)]
pub(crate) struct Slot {
    gate: Option<Gate>,
    pass: Option<Pass>,
}

impl Slot {
    /// A place where nobody counts them.
    pub(in crate::run) fn free() -> Self {
        Self {
            gate: None,
            pass: None,
        }
    }

    /// Whether the list may run now.
    pub(super) fn is_entered(&self) -> bool {
        self.gate.is_none() || self.pass.is_some()
    }

    /// Gives the place to the next in line.
    pub(in crate::run) fn leave(&mut self) {
        self.pass = None;
    }

    /// Lines up again, unless the place is still held.
    pub(super) async fn enter(&mut self) {
        if let (Some(gate), None) = (&self.gate, &self.pass) {
            self.pass = Some(gate.enter().await);
        }
    }
}

/// A place in the line for a slot, which is taken when this is made.
pub(crate) enum Turn {
    Now(Slot),
    Later(Waiting),
}

/// A place in the line that is not the first. Small: what waits behind it may be many.
pub(crate) struct Waiting {
    gate: Gate,
    enter: BoxFuture<'static, Result<Pass, AcquireError>>,
}

impl Turn {
    /// The last in the line of `gate`; where there is none, nobody waits.
    pub(super) fn line_up(gate: Option<&Gate>) -> Self {
        let Some(gate) = gate else {
            return Self::Now(Slot::free());
        };
        let mut enter = gate.0.clone().acquire_owned().boxed();
        // The semaphore notes the order of the first polls, and this is the first.
        match enter.as_mut().now_or_never() {
            Some(pass) => Self::Now(Slot {
                gate: Some(gate.clone()),
                pass: Some(pass.expect(OPEN)),
            }),
            None => Self::Later(Waiting {
                gate: gate.clone(),
                enter,
            }),
        }
    }

    /// Waits for the turn to come.
    pub(in crate::run) async fn come(self) -> Slot {
        match self {
            Self::Now(slot) => slot,
            Self::Later(waiting) => waiting.come().await,
        }
    }
}

impl Waiting {
    /// Waits for the turn to come.
    pub(in crate::run) fn come(self) -> impl Future<Output = Slot> + Send {
        let Self { gate, enter } = self;
        enter.map(|pass| Slot {
            gate: Some(gate),
            pass: Some(pass.expect(OPEN)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_lining_up_and_not_of_being_polled() {
        let gate = Gate::new(1);
        let Turn::Now(slot) = Turn::line_up(Some(&gate)) else {
            panic!("the gate is free");
        };
        let (mut second, mut third) = (
            Box::pin(Turn::line_up(Some(&gate)).come()),
            Box::pin(Turn::line_up(Some(&gate)).come()),
        );
        drop(slot);
        assert!(third.as_mut().now_or_never().is_none());
        let slot = second
            .as_mut()
            .now_or_never()
            .expect("the turn of the second");
        assert!(third.as_mut().now_or_never().is_none());
        drop(slot);
        assert!(third.as_mut().now_or_never().is_some());
    }

    #[test]
    fn whoever_gives_up_waiting_lets_the_next_one_in() {
        let gate = Gate::new(1);
        let held = gate.try_enter().expect("the gate is free");
        let gives_up = Turn::line_up(Some(&gate));
        let mut stays = Box::pin(Turn::line_up(Some(&gate)).come());
        drop(held);
        drop(gives_up);
        assert!(stays.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_slot_that_was_left_is_the_next_ones() {
        let gate = Gate::new(1);
        let Turn::Now(mut slot) = Turn::line_up(Some(&gate)) else {
            panic!("the gate is free");
        };
        let mut next = Box::pin(Turn::line_up(Some(&gate)).come());
        slot.leave();
        let next = next.as_mut().now_or_never().expect("its turn");
        assert!(slot.enter().now_or_never().is_none());
        drop(next);
        assert!(slot.enter().now_or_never().is_some());
    }
}
