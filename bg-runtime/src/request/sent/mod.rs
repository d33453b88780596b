//! The moment after the response: how a request learns that the last byte has left.
//!
//! A [`GuardedBody`] rides on the response, and reports when the body has ended and its bytes have
//! left hyper. That alone is not enough, because hyper and h2 may have copied a small frame into a
//! buffer that is still to be written. So the request's tasks wait for one more thing, which
//! [`Delivery`] knows:
//!
//! - under [`Background::serve`](crate::Background::serve), and on the connections that
//!   [`Background::connection`](crate::Background::connection) has wrapped, for the [`Connection`] to
//!   flush;
//! - under any other server, for a moment in which the task of that server's connection flushes.
//!
//! With a write timeout, [`BackgroundIo`] ends a connection that takes nothing, and `stalls.rs` gives up
//! streams of HTTP/2 whose client takes nothing.

mod body;
mod connection;
mod delivery;
mod io;
mod stalls;
#[cfg(all(test, not(shuttle)))]
mod tests;

pub use self::io::BackgroundIo;

pub(crate) use self::body::GuardedBody;
pub(crate) use self::connection::Connection;
pub(crate) use self::delivery::Delivery;
