//! The services around an app: a layer for any server, and a server that watches its connections.

mod app;
mod detached;
#[cfg(feature = "durable")]
mod health;
mod layer;
mod serve;
mod signals;
#[cfg(feature = "durable")]
mod work;

pub(crate) use self::app::{App, AppListener};
pub use self::detached::{DetachedLayer, DetachedService};
pub use self::layer::{BackgroundLayer, BackgroundService, ResponseFuture};
pub use self::serve::Serve;
#[cfg(feature = "durable")]
pub use self::work::Work;

#[cfg(feature = "durable")]
pub(crate) use self::health::health;
pub(crate) use self::serve::default_write_timeout;
