use std::sync::Arc;

use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use super::Store;
use super::engine::{Address, Place};

/// Durable tasks in a database of PostgreSQL. With the feature `postgres`, and `postgres-tls` for encrypted
/// connections.
///
/// The connections are the store's own, and carry the name of their worker as `application_name`: the database refuses
/// the outcome of a worker that was stalled for so long that another one runs its task.
#[derive(Debug)]
pub struct Postgres;

impl Postgres {
    /// Returns a store at this URL, such as `postgres://user:password@host/database`. What is wrong with it is told
    /// by [`build`](crate::BackgroundBuilder::build).
    pub fn url(url: impl AsRef<str>) -> Store {
        let url = url.as_ref();
        // Which sqlx takes for one of PostgreSQL, whatever it is of.
        let is_of_another = url.split_once("://").is_some_and(|(scheme, _)| {
            let known = ["postgres", "postgresql"];
            !known.iter().any(|known| known.eq_ignore_ascii_case(scheme))
        });
        let options = match is_of_another {
            true => Err(sqlx::Error::Configuration(
                "it begins with another scheme than `postgres://`".into(),
            )),
            false => url.parse::<PgConnectOptions>(),
        };
        Store::new(Place::River(match options {
            Ok(options) => Address::Postgres(Box::new(options)),
            Err(error) => Address::Invalid(Arc::new(error)),
        }))
    }

    /// Returns a store that connects with these options.
    pub fn options(options: PgConnectOptions) -> Store {
        Store::new(Place::River(Address::Postgres(Box::new(options))))
    }

    /// Returns a store that connects as this pool does, in a pool of its own.
    pub fn like(pool: &PgPool) -> Store {
        Self::options((*pool.connect_options()).clone())
    }
}
