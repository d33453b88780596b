//! The futures that run tasks, or wait to, so that a shutdown can abort those that are left.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

#[cfg(feature = "durable")]
use futures_util::future::{AbortHandle, Abortable, abortable};
use pin_project_lite::pin_project;
use slab::Slab;
use tokio::task::JoinHandle;

use super::Runner;
use crate::sync::Mutex;

/// A registry rather than a `CancellationToken` or a `JoinSet`: selecting on a token would cost every
/// future more, and a set costs 5 % more instructions for a request with a task, 11 % for a spawned one.
#[derive(Default)]
pub(super) struct AbortRegistry(Mutex<Registrations>);

#[derive(Default)]
struct Registrations {
    states: Slab<SpawnState>,
    /// Everything was aborted, and futures that come later are aborted, too.
    closed: bool,
}

enum SpawnState {
    /// It is being spawned, and may be running already.
    Spawning,
    /// Like `Spawning`, and it is aborted as soon as its handle is known.
    Aborted,
    Spawned(AbortBy),
    /// It ended before its handle was known.
    Ended,
}

/// How a future is aborted.
pub(super) enum AbortBy {
    Runtime(JoinHandle<()>),
    /// Its owner polls it, and drops it when it has heard of the abort.
    #[cfg(feature = "durable")]
    Owner(AbortHandle),
}

impl AbortBy {
    fn abort(&self) {
        match self {
            Self::Runtime(handle) => handle.abort(),
            #[cfg(feature = "durable")]
            Self::Owner(handle) => handle.abort(),
        }
    }
}

impl AbortRegistry {
    /// Spawns a future that can be aborted, unless the executor (the model checker's) gives no handle to abort
    /// it by.
    pub(super) fn spawn<F>(
        runner: &Arc<Runner>,
        future: F,
        spawn: impl FnOnce(Registered<F>) -> Option<JoinHandle<()>>,
    ) {
        let (key, future) = Self::register(runner, future);
        // Not under the lock: without a runtime the executor drops the future here, and the destructor
        // of its registration takes the lock.
        let spawned = spawn(future).map(AbortBy::Runtime);
        runner.aborts.set_handle(key, spawned);
    }

    /// Returns a future for its owner to poll, which ends when it is aborted.
    #[cfg(feature = "durable")]
    pub(super) fn own<F: Future>(runner: &Arc<Runner>, future: F) -> Abortable<Registered<F>> {
        let (key, future) = Self::register(runner, future);
        let (future, handle) = abortable(future);
        runner.aborts.set_handle(key, Some(AbortBy::Owner(handle)));
        future
    }

    /// Registers a future until it is dropped.
    fn register<F>(runner: &Arc<Runner>, future: F) -> (usize, Registered<F>) {
        let key = {
            let registrations = &mut *runner.aborts.0.lock();
            let state = if registrations.closed {
                SpawnState::Aborted
            } else {
                SpawnState::Spawning
            };
            registrations.states.insert(state)
        };
        let registration = Registration {
            runner: runner.clone(),
            key,
        };
        let future = Registered {
            future,
            registration,
        };
        (key, future)
    }

    fn set_handle(&self, key: usize, handle: Option<AbortBy>) {
        let registrations = &mut *self.0.lock();
        match (&mut registrations.states[key], handle) {
            (SpawnState::Ended, _) => drop(registrations.states.remove(key)),
            (_, None) => {}
            (state, Some(handle)) => {
                if matches!(state, SpawnState::Aborted) {
                    handle.abort();
                }
                *state = SpawnState::Spawned(handle);
            }
        }
    }

    /// Aborts all futures at their next await point, and every future that is spawned until
    /// [`open`](Self::open).
    pub(super) fn abort_all(&self) {
        #[cfg(feature = "durable")]
        let mut owned = Vec::new();
        {
            let registrations = &mut *self.0.lock();
            registrations.closed = true;
            for (_, state) in &mut registrations.states {
                match state {
                    // Only marks the future, which its runtime drops. Dropped here, it would deadlock: the
                    // destructor of its registration takes this lock.
                    SpawnState::Spawned(AbortBy::Runtime(handle)) => handle.abort(),
                    #[cfg(feature = "durable")]
                    SpawnState::Spawned(AbortBy::Owner(handle)) => owned.push(handle.clone()),
                    SpawnState::Spawning => *state = SpawnState::Aborted,
                    SpawnState::Aborted | SpawnState::Ended => {}
                }
            }
        }
        // Not under the lock: it wakes the owner, by whatever waker that has.
        #[cfg(feature = "durable")]
        owned.iter().for_each(AbortHandle::abort);
    }

    /// Lets futures run again that are spawned from now on.
    pub(super) fn open(&self) {
        self.0.lock().closed = false;
    }
}

pin_project! {
    /// A future that is registered while it lives.
    pub(super) struct Registered<F> {
        #[pin]
        future: F,
        registration: Registration,
    }
}

impl<F: Future> Future for Registered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

/// Removes its future from the registry when that is dropped.
///
/// A ring: the runner has the registry, that has the handle of the tokio task that owns this, and this
/// has the runner. It is broken when the future is dropped: at its end, by an abort, or with its runtime.
struct Registration {
    runner: Arc<Runner>,
    key: usize,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let registrations = &mut *self.runner.aborts.0.lock();
        match &mut registrations.states[self.key] {
            state @ (SpawnState::Spawning | SpawnState::Aborted) => *state = SpawnState::Ended,
            SpawnState::Spawned(_) | SpawnState::Ended => {
                drop(registrations.states.remove(self.key));
            }
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::run::Settings;

    fn runner() -> Arc<Runner> {
        Runner::new(Settings::default())
    }

    fn registered(runner: &Arc<Runner>) -> usize {
        runner.aborts.0.lock().states.len()
    }

    #[tokio::test]
    async fn a_future_is_registered_until_it_ends() {
        let runner = runner();
        AbortRegistry::spawn(&runner, ready(()), |future| Some(tokio::spawn(future)));
        assert_eq!(registered(&runner), 1);
        tokio::task::yield_now().await;
        assert_eq!(registered(&runner), 0);
    }

    #[tokio::test]
    async fn a_future_may_end_before_its_handle_is_known() {
        let runner = runner();
        for spawned in [Some(tokio::spawn(ready(()))), None] {
            let (key, future) = AbortRegistry::register(&runner, ready(()));
            future.await;
            assert_eq!(registered(&runner), 1);
            runner.aborts.set_handle(key, spawned.map(AbortBy::Runtime));
            assert_eq!(registered(&runner), 0);
        }
    }

    #[tokio::test]
    async fn futures_that_are_spawned_after_all_were_aborted_are_aborted_too() {
        let runner = runner();
        let spawn = || {
            AbortRegistry::spawn(&runner, pending(), |future| Some(tokio::spawn(future)));
        };
        spawn();
        tokio::task::yield_now().await;
        runner.aborts.abort_all();
        spawn();
        assert_eq!(registered(&runner), 2);
        tokio::task::yield_now().await;
        assert_eq!(registered(&runner), 0);
    }
    #[tokio::test]
    async fn a_future_is_aborted_though_its_handle_comes_when_others_run_again() {
        let runner = runner();
        let (key, future) = AbortRegistry::register(&runner, pending::<()>());
        let handle = tokio::spawn(future);
        runner.aborts.abort_all();
        runner.aborts.open();
        AbortRegistry::spawn(&runner, pending(), |future| Some(tokio::spawn(future)));
        runner
            .aborts
            .set_handle(key, Some(AbortBy::Runtime(handle)));
        assert_eq!(registered(&runner), 2);
        tokio::task::yield_now().await;
        assert_eq!(registered(&runner), 1);
        runner.aborts.abort_all();
    }
}
