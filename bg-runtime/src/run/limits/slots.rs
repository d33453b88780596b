use futures_util::future::{BoxFuture, FutureExt};
use tokio::sync::AcquireError;

use super::running::{NEVER_CLOSED, RunLimit, RunPermit};

/// A list's slot among those that run at once (`max_concurrent` of the builder).
///
/// A list releases its slot before it waits for anything else: otherwise it would keep other lists from
/// running, perhaps the very one that it waits for.
#[derive(Debug)]
pub(crate) struct ListSlot {
    limit: Option<RunLimit>,
    permit: Option<RunPermit>,
}

impl ListSlot {
    /// Returns a slot without a limit.
    pub(in crate::run) fn unlimited() -> Self {
        Self {
            limit: None,
            permit: None,
        }
    }

    /// Returns whether the list may run now.
    pub(in crate::run) fn is_acquired(&self) -> bool {
        self.limit.is_none() || self.permit.is_some()
    }

    /// Gives the slot to the next list in line.
    pub(in crate::run) fn release(&mut self) {
        self.permit = None;
    }

    /// Takes the permit out, for a run that may outlive its list's wait for it.
    pub(super) fn take(&mut self) -> Option<RunPermit> {
        self.permit.take()
    }

    /// Puts back a permit that was [taken](Self::take).
    pub(super) fn put_back(&mut self, permit: Option<RunPermit>) {
        self.permit = permit;
    }

    /// Lines up again, unless the slot is still held.
    pub(in crate::run) async fn acquire(&mut self) {
        if let (Some(limit), None) = (&self.limit, &self.permit) {
            self.permit = Some(limit.acquire().await);
        }
    }
}

/// A list's turn in the line for a slot. The list joins the line when this is created.
pub(crate) enum ListTurn {
    Now(ListSlot),
    Later(LaterTurn),
}

/// A turn that has not come yet. Kept small, because many lists may wait.
pub(crate) struct LaterTurn {
    limit: RunLimit,
    acquire: BoxFuture<'static, Result<RunPermit, AcquireError>>,
}

impl ListTurn {
    /// Joins the line of `limit`. Without a limit, the turn has come.
    pub(super) fn line_up(limit: Option<&RunLimit>) -> Self {
        let Some(limit) = limit else {
            return Self::Now(ListSlot::unlimited());
        };
        let mut acquire = limit.acquire_boxed();
        // The semaphore queues its waiters in the order of their first polls, so the first is here.
        match acquire.as_mut().now_or_never() {
            Some(permit) => Self::Now(ListSlot {
                limit: Some(limit.clone()),
                permit: Some(permit.expect(NEVER_CLOSED)),
            }),
            None => Self::Later(LaterTurn {
                limit: limit.clone(),
                acquire,
            }),
        }
    }

    pub(crate) async fn wait(self) -> ListSlot {
        match self {
            Self::Now(slot) => slot,
            Self::Later(turn) => turn.wait().await,
        }
    }
}

impl LaterTurn {
    pub(in crate::run) fn wait(self) -> impl Future<Output = ListSlot> + Send {
        let Self { limit, acquire } = self;
        acquire.map(|permit| ListSlot {
            limit: Some(limit),
            permit: Some(permit.expect(NEVER_CLOSED)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_get_slots_in_the_order_of_lining_up_not_of_being_polled() {
        let limit = RunLimit::new(1);
        let ListTurn::Now(slot) = ListTurn::line_up(Some(&limit)) else {
            panic!("the slot is free");
        };
        let (mut second, mut third) = (
            Box::pin(ListTurn::line_up(Some(&limit)).wait()),
            Box::pin(ListTurn::line_up(Some(&limit)).wait()),
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
    fn a_turn_that_is_given_up_lets_the_next_list_run() {
        let limit = RunLimit::new(1);
        let held = limit.try_acquire().expect("the slot is free");
        let gives_up = ListTurn::line_up(Some(&limit));
        let mut stays = Box::pin(ListTurn::line_up(Some(&limit)).wait());
        drop(held);
        drop(gives_up);
        assert!(stays.as_mut().now_or_never().is_some());
    }

    #[test]
    fn a_slot_that_was_released_goes_to_the_next_list_in_line() {
        let limit = RunLimit::new(1);
        let ListTurn::Now(mut slot) = ListTurn::line_up(Some(&limit)) else {
            panic!("the slot is free");
        };
        let mut next = Box::pin(ListTurn::line_up(Some(&limit)).wait());
        slot.release();
        let next = next.as_mut().now_or_never().expect("its turn");
        assert!(slot.acquire().now_or_never().is_none());
        drop(next);
        assert!(slot.acquire().now_or_never().is_some());
    }
}
