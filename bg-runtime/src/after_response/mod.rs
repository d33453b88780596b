//! The moment after the response: how the library knows that the last byte has left.
//!
//! A [`GuardedBody`] rides on the response. When its last byte has left hyper, the request's tasks wait for one more
//! thing, because hyper and h2 may have copied a small frame into a buffer that is still to be written:
//!
//! - under [`Background::serve`](crate::Background::serve), for the [`Connection`] to flush;
//! - under any other server, for a millisecond, in which that server's connection task flushes.

mod body;
mod connection;
mod layer;
mod serve;

pub use self::layer::{BackgroundLayer, BackgroundService, ResponseFuture};
pub use self::serve::Serve;

pub(crate) use self::body::GuardedBody;
pub(crate) use self::connection::Connection;
