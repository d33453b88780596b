//! The futures that run tasks, or wait to, so that a shutdown can drop those that are left.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use slab::Slab;
use tokio::task::JoinHandle;

use super::Runner;
use crate::sync::{Mutex, MutexGuard};

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
    fn futures(&self) -> MutexGuard<'_, Futures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a future a place, which is free again when the future is dropped.
    pub(super) fn enter<F>(runner: &Arc<Runner>, future: F) -> (usize, WhilePresent<F>) {
        let key = runner.spawned.futures().slots.insert(Slot::New);
        let presence = Presence {
            runner: runner.clone(),
            key,
        };
        (key, WhilePresent { future, presence })
    }

    /// Notes how the future with this place can be aborted; `None` where it cannot.
    pub(super) fn note(&self, key: usize, future: Option<JoinHandle<()>>) {
        let futures = &mut *self.futures();
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

    /// Drops all futures, now or at their next await point, and those that come.
    pub(super) fn abort_all(&self) {
        // Outside the lock, because a future that does not run is dropped at once.
        let running = {
            let futures = &mut *self.futures();
            futures.aborted = true;
            let slots = futures.slots.iter_mut();
            let running = slots.filter_map(|(_, slot)| match slot {
                Slot::Running(future) => Some(future.abort_handle()),
                Slot::New | Slot::Over => None,
            });
            running.collect::<Vec<_>>()
        };
        for future in running {
            future.abort();
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
        let futures = &mut *self.runner.spawned.futures();
        match &mut futures.slots[self.key] {
            slot @ Slot::New => *slot = Slot::Over,
            Slot::Running(_) | Slot::Over => drop(futures.slots.remove(self.key)),
        }
    }
}
