//! Durable tasks: one suite for every store.

mod outbox;
mod tasks;
mod working;
