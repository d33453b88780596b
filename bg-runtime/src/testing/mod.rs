#![doc = include_str!("../docs/testing.md")]

mod message;
mod recorder;

pub use self::recorder::Recorder;
#[cfg(feature = "durable")]
pub use crate::durable::Memory;
