//! Durable tasks: one suite for every store.

mod dead;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod deploy;
mod held;
mod hostile;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod kill;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod kinvey;
mod left;
#[cfg(feature = "redis")]
mod lost_memory;
mod misnamed;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod outages;
mod outbox;
mod refusals;
mod tasks;
mod working;
