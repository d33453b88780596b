//! The services around an app: a layer for any server, and a server that watches its connections.

mod detached;
mod layer;
mod serve;
mod signals;

pub use self::detached::{DetachedLayer, DetachedService};
pub use self::layer::{BackgroundLayer, BackgroundService, ResponseFuture};
pub use self::serve::Serve;
