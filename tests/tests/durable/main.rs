//! Durable tasks: one suite for every store.

mod dead;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod deploy;
mod held;
mod hostile;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod kill;
mod misnamed;
#[cfg(feature = "postgres")]
mod outages;
mod outbox;
mod refusals;
mod tasks;
mod working;
