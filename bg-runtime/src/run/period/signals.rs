use tokio_util::sync::CancellationToken;

/// The signals that tasks, streams and sockets wait for. A server that begins replaces those that were
/// given: they were for others.
#[derive(Default)]
pub(super) struct StopSignals {
    pub(super) number: u64,
    /// A shutdown has begun, or the last server was told to stop.
    pub(super) stopping: StopSignal,
    /// Running tasks are asked to stop.
    pub(super) cancel: StopSignal,
    /// The first number that has this `cancel`.
    cancel_since: u64,
    /// `shutdown()` was called. The parent of what each server says to its own connections.
    pub(super) closing: StopSignal,
}

/// A token, and whether it is given, which is known before the token is cancelled: that wakes the
/// user's code, and so is not done under the lock.
#[derive(Default)]
pub(super) struct StopSignal {
    pub(super) token: CancellationToken,
    pub(super) given: bool,
}

impl StopSignal {
    #[must_use = "the token is to be cancelled outside of the lock"]
    pub(super) fn give(&mut self) -> CancellationToken {
        self.given = true;
        self.token.clone()
    }

    fn renew_if_given(&mut self) -> bool {
        let given = self.given;
        if given {
            *self = Self::default();
        }
        given
    }
}

impl StopSignals {
    /// Replaces the signals that were given.
    pub(super) fn renew(&mut self) {
        // Each of these is given after the one before it, or together with it.
        let is_new = self.stopping.renew_if_given();
        self.number += u64::from(is_new);
        if self.cancel.renew_if_given() {
            self.cancel_since = self.number;
        }
        self.closing.renew_if_given();
    }

    /// Returns the token that asks runs to stop which began with the signals of this number.
    pub(super) fn cancellation(&self, number: u64) -> CancellationToken {
        if number < self.cancel_since {
            return given();
        }
        self.cancel.token.clone()
    }

    /// Returns the token that tells the same runs that the shutdown has begun.
    pub(super) fn stopping(&self, number: u64) -> CancellationToken {
        if number < self.number {
            return given();
        }
        self.stopping.token.clone()
    }
}

/// A signal of an earlier number, all of which have been given.
fn given() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}
