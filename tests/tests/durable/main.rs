//! Durable tasks: one suite for every store.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod kill;
mod outbox;
mod tasks;
mod working;
