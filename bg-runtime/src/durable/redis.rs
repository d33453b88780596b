use super::Store;
use super::engine::{Place, RedisAddress};

/// Durable tasks in Redis. With the feature `redis`, and `redis-tls` for encrypted connections.
///
/// Redis keeps what it is told to keep: a server that loses its memory loses its tasks. It should have `appendonly yes`,
/// with which a power cut may cost the last second, and `maxmemory-policy noeviction`, without which it may drop tasks when
/// it is full. The start warns where it has not.
#[derive(Debug)]
pub struct Redis;

impl Redis {
    /// Returns a store at this URL, such as `redis://user:password@host:6379/0`, or `rediss://` for an encrypted
    /// connection. What is wrong with it is told by [`build`](crate::BackgroundBuilder::build).
    pub fn url(url: impl AsRef<str>) -> Store {
        Store::new(Place::BullMq(RedisAddress::server(url.as_ref())))
    }

    /// Returns a store in a cluster, of which these are some of the nodes. All tasks of a store are on one of them, because
    /// they are taken and ended by scripts that see more than one key.
    pub fn cluster<U: Into<String>>(nodes: impl IntoIterator<Item = U>) -> Store {
        let nodes = nodes.into_iter().map(Into::into).collect();
        Store::new(Place::BullMq(RedisAddress::cluster(nodes)))
    }
}
