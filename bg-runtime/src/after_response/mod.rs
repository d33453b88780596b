//! The moment after the response: how the library knows that the last byte has left.
//!
//! A [`GuardedBody`] rides on the response, and tells when the body has ended and its bytes have
//! left hyper. That is not enough by itself, because hyper and h2 may have copied a small frame
//! into a buffer that is still to be written. So the request's tasks wait for one more thing, which
//! [`Sending`] knows:
//!
//! - under [`Background::serve`](crate::Background::serve), for the [`Connection`] to flush;
//! - under any other server, for a moment in which the task of that server's connection flushes.

mod body;
mod connection;
mod layer;
mod sending;
mod serve;
#[cfg(all(test, not(shuttle)))]
mod tests;

pub use self::layer::{BackgroundLayer, BackgroundService, ResponseFuture};
pub use self::serve::Serve;

pub(crate) use self::body::GuardedBody;
pub(crate) use self::connection::Connection;
pub(crate) use self::sending::Sending;
