//! Contains the panics of the user's code: in hooks, in `Debug` and `Display`, and in destructors.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use crate::log_target::RUNTIME;
use crate::one_line::OneLine;

/// Calls `f`, and contains its panic. Dropping the panic's payload may panic as well, and that is
/// contained too.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(f)).map_err(Panicked::new)
}

/// Wakes a task of the user's, whose panic is no concern of what has happened.
pub(crate) fn wake(waker: Waker) {
    if let Err(panic) = contain(|| waker.wake()) {
        tracing::error!(target: RUNTIME, panic = %OneLine(panic), "a waker panicked that waits for a background task");
    }
}

/// The message of a panic, which is an error.
#[derive(Debug)]
pub(crate) struct Panicked(String);

impl Panicked {
    /// Of something that was kept from calling itself.
    pub(crate) fn said(message: &str) -> Self {
        Self(message.to_owned())
    }

    pub(crate) fn new(payload: Box<dyn Any + Send>) -> Self {
        let message = payload
            .downcast_ref::<&'static str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned());
        // Leaked, because the second payload's destructor may panic again, and so on.
        if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            let _leaked = ManuallyDrop::new(another);
        }
        Self(message.unwrap_or_else(|| "the panic carries no message".to_owned()))
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Panicked {}

/// A value of the user's. A panic in its destructor is caught and logged.
#[derive(Clone)]
pub(crate) struct Contained<T>(Option<T>);

impl<T> Contained<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn into_inner(mut self) -> T {
        self.0.take().expect(PRESENT)
    }
}

const PRESENT: &str = "the value is there until it is taken or dropped";

impl<T> Deref for Contained<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect(PRESENT)
    }
}

impl<T> DerefMut for Contained<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect(PRESENT)
    }
}

impl<T> Drop for Contained<T> {
    fn drop(&mut self) {
        let Some(value) = self.0.take() else { return };
        contain_drop(|| drop(value));
    }
}

/// Calls a function that drops values of the user's. A panic in a destructor is caught and logged.
pub(crate) fn contain_drop(drop: impl FnOnce()) {
    if let Err(panic) = contain(drop) {
        tracing::error!(target: RUNTIME, panic = %OneLine(panic), "a destructor panicked in a background task's value");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    #[test]
    fn a_panic_in_a_destructor_is_contained() {
        drop(Contained::new(Bomb));
    }

    #[test]
    fn a_panic_whose_payload_panics_when_dropped_is_contained() {
        let panic = contain(|| std::panic::panic_any(Bomb)).unwrap_err();
        assert_eq!(panic.to_string(), "the panic carries no message");
    }
}
