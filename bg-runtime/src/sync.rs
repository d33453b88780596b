//! The mutex of this crate: `std`'s without poisoning, or the model checker's.
//!
//! Poisoning would turn one caught panic into a panic in every task that follows, and nothing needs it:
//! every change under a lock leaves the data consistent at each point where it could panic. The user's
//! hooks and destructors run outside the locks, because they may queue tasks. A test's own code does run
//! under one: see `run/dispatch/recording.rs`.

use std::sync::PoisonError;

#[cfg(shuttle)]
use shuttle::sync as imp;
#[cfg(not(shuttle))]
use std::sync as imp;

pub(crate) use self::imp::MutexGuard;

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
