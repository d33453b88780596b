//! What a durable task has more than others, where the crate is built to store it.

#[cfg(feature = "durable")]
use super::codec::DurableTask;
#[cfg(feature = "durable")]
use crate::task::DurableDef;

/// The items of a durable task.
#[cfg(feature = "durable")]
#[doc(hidden)]
#[macro_export]
macro_rules! __durable {
    ($($items:tt)*) => { $($items)* };
}

/// The one error of a durable task. The whole call is where the user wrote `durable`, and so is the error.
#[cfg(not(feature = "durable"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __durable {
    ($($items:tt)*) => {
        ::core::compile_error! {
            "a durable task needs a store: switch on the feature `sqlite`, `postgres` or `redis` of bg-runtime, or `durable` \
             for tests that store in memory alone"
        }
    };
}

/// The record of a durable task: what is the same for all tasks, and what is not.
#[cfg(feature = "durable")]
#[doc(hidden)]
#[macro_export]
macro_rules! __durable_record {
    (($($record:tt)*) ($($durable:tt)*)) => { $($record)* $($durable)* };
}

#[cfg(not(feature = "durable"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __durable_record {
    (($($record:tt)*) ($($durable:tt)*)) => { $($record)* };
}

/// How a task of the attribute is stored.
#[cfg(feature = "durable")]
pub const fn durable_def<T: DurableTask>() -> DurableDef {
    DurableDef::declared::<T>()
}
