//! The futures that run tasks, or wait to, so that a shutdown can drop those that are left.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::task::JoinHandle;

use super::Runner;
use crate::sync::Mutex;

/// Not a token that every future waits for beside its work: to wait costs more than this.
#[derive(Default)]
pub(super) struct Spawned(Mutex<Futures>);

#[derive(Default)]
struct Futures {
    slots: Slab<Slot>,
    /// What comes now is dropped, too.
    aborted: bool,
}

enum Slot {
    /// It is being spawned, and may run already.
    New,
    Running(JoinHandle<()>),
    /// It ended before it was known how to abort it.
    Over,
}

impl Spawned {
    /// Gives a future a place, which is free again when the future is dropped.
    pub(super) fn enter<F>(runner: &Arc<Runner>, future: F) -> (usize, WhilePresent<F>) {
        let key = runner.spawned.0.lock().slots.insert(Slot::New);
        let presence = Presence {
            runner: runner.clone(),
            key,
        };
        (key, WhilePresent { future, presence })
    }

    /// Notes how the future with this place can be aborted. `None` where it was dropped; or where nobody
    /// can abort it, as with the model checker's executor, which has no use for its place either.
    pub(super) fn note(&self, key: usize, future: Option<JoinHandle<()>>) {
        let futures = &mut *self.0.lock();
        match (&mut futures.slots[key], future) {
            (Slot::Over, _) => drop(futures.slots.remove(key)),
            (_, None) => {}
            (slot, Some(future)) => {
                if futures.aborted {
                    future.abort();
                }
                *slot = Slot::Running(future);
            }
        }
    }

    /// Drops all futures at their next await point, and those that come.
    pub(super) fn abort_all(&self) {
        let futures = &mut *self.0.lock();
        futures.aborted = true;
        for (_, slot) in &futures.slots {
            if let Slot::Running(future) = slot {
                // Only asks for it: the future is dropped by its runtime, and not under this lock.
                future.abort();
            }
        }
    }
}

pin_project! {
    /// A future with a place.
    pub(super) struct WhilePresent<F> {
        #[pin]
        future: F,
        presence: Presence,
    }
}

impl<F: Future> Future for WhilePresent<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().future.poll(cx)
    }
}

struct Presence {
    runner: Arc<Runner>,
    key: usize,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let futures = &mut *self.runner.spawned.0.lock();
        match &mut futures.slots[self.key] {
            slot @ Slot::New => *slot = Slot::Over,
            Slot::Running(_) | Slot::Over => drop(futures.slots.remove(self.key)),
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

    fn places(runner: &Arc<Runner>) -> usize {
        runner.spawned.0.lock().slots.len()
    }

    #[tokio::test]
    async fn a_place_is_free_again_when_its_future_has_ended() {
        let runner = runner();
        let (key, future) = Spawned::enter(&runner, ready(()));
        runner.spawned.note(key, Some(tokio::spawn(future)));
        assert_eq!(places(&runner), 1);
        tokio::task::yield_now().await;
        assert_eq!(places(&runner), 0);
    }

    #[tokio::test]
    async fn a_future_may_end_before_it_is_known_how_to_abort_it() {
        let runner = runner();
        for spawned in [Some(tokio::spawn(ready(()))), None] {
            let (key, future) = Spawned::enter(&runner, ready(()));
            future.await;
            assert_eq!(places(&runner), 1);
            runner.spawned.note(key, spawned);
            assert_eq!(places(&runner), 0);
        }
    }

    #[tokio::test]
    async fn what_runs_is_aborted_and_so_is_what_comes_later() {
        let runner = runner();
        let spawn = || {
            let (key, future) = Spawned::enter(&runner, pending::<()>());
            runner.spawned.note(key, Some(tokio::spawn(future)));
        };
        spawn();
        tokio::task::yield_now().await;
        runner.spawned.abort_all();
        spawn();
        assert_eq!(places(&runner), 2);
        tokio::task::yield_now().await;
        assert_eq!(places(&runner), 0);
    }
}
