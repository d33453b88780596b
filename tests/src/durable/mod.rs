//! Stores of durable tasks for tests: in memory, in a file, and on a server of the test's own.

#[cfg(feature = "redis")]
mod append_only;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
mod audit;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod database_server;
mod faulty_link;
mod fleet;
#[cfg(feature = "postgres")]
mod pg_bouncer;
mod place;
#[cfg(feature = "postgres")]
mod postgres_server;
mod program;
#[cfg(feature = "redis")]
pub mod redis_client;
#[cfg(feature = "redis")]
mod redis_cluster;
#[cfg(feature = "redis")]
mod redis_server;
#[cfg(any(feature = "postgres", feature = "redis"))]
mod server_process;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "redis"))]
pub use self::audit::{Audit, Record};
#[cfg(any(feature = "postgres", feature = "redis"))]
pub use self::database_server::DatabaseServer;
pub use self::faulty_link::{Fault, FaultyLink};
pub use self::fleet::{Evidence, Node, Runs, post};
#[cfg(feature = "postgres")]
pub use self::pg_bouncer::PgBouncer;
pub use self::place::Place;
#[cfg(feature = "postgres")]
pub use self::postgres_server::PostgresServer;
pub use self::program::{Pen, run, run_with};
#[cfg(feature = "redis")]
pub use self::redis_cluster::RedisCluster;
#[cfg(feature = "redis")]
pub use self::redis_server::RedisServer;

/// Makes a test for each store of every function in it, which is given the [`Place`] of a store of its own.
///
/// The names of the tests are those of the functions, behind that of the store: `postgres::a_task_runs`.
#[macro_export]
macro_rules! on_each_store {
    ($(
        $(#[doc = $doc:literal])*
        #[test]
        async fn $test:ident($place:ident: &Place) $body:block
    )+) => {
        $crate::on_each_shared_store! {
            $(#[test]
            async fn $test($place: &Place) $body)+
        }

        mod memory {
            $(#[tokio::test]
            async fn $test() {
                super::$test(&$crate::durable::Place::memory()).await;
            })+
        }
    };
}

/// Like [`on_each_store`](crate::on_each_store), of those stores that several processes can share.
#[macro_export]
macro_rules! on_each_shared_store {
    ($(
        $(#[doc = $doc:literal])*
        #[test]
        async fn $test:ident($place:ident: &Place) $body:block
    )+) => {
        $(async fn $test($place: &$crate::durable::Place) $body)+

        #[cfg(feature = "sqlite")]
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(&$crate::durable::Place::sqlite()).await;
            })+
        }

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(place) = $crate::durable::Place::postgres() {
                    super::$test(&place).await;
                }
            })+
        }

        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(place) = $crate::durable::Place::redis() {
                    super::$test(&place).await;
                }
            })+
        }
    };
}
