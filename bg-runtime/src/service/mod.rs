//! The services around an app: a layer for any server, and a server that watches its connections.

mod app;
mod detached;
mod layer;
mod serve;
mod signals;

pub(crate) use self::app::{App, AppListener};
pub use self::detached::{DetachedLayer, DetachedService};
pub use self::layer::{BackgroundLayer, BackgroundService, ResponseFuture};
pub use self::serve::Serve;

pub(crate) use self::serve::default_write_timeout;
