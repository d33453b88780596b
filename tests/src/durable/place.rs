//! Where the store of one test is.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bg_runtime::durable::Store;
use bg_runtime::testing::Memory;

#[cfg(feature = "postgres")]
use super::PostgresServer;
#[cfg(feature = "redis")]
use super::RedisServer;

/// How long after it was last heard of a worker of a test counts as lost.
const LEASE: Duration = Duration::from_secs(1);

/// The store of one test, which no other test sees.
#[derive(Debug)]
pub enum Place {
    /// In the memory of the test.
    Memory(Memory),
    /// In a file.
    #[cfg(feature = "sqlite")]
    Sqlite {
        /// The database.
        file: PathBuf,
        /// Where it is, which is removed with this, unless another process has made it.
        directory: Option<tempfile::TempDir>,
    },
    /// In a schema of the server that all tests of this process share.
    #[cfg(feature = "postgres")]
    Postgres {
        /// Of the server's database.
        url: String,
        /// Of this test alone.
        schema: String,
    },
    /// Under a prefix of the server that all tests of this process share.
    #[cfg(feature = "redis")]
    Redis {
        /// Of the server.
        url: String,
        /// Of this test alone.
        prefix: String,
    },
}

impl Place {
    /// Returns an empty store in memory.
    pub fn memory() -> Self {
        Self::Memory(Memory::new())
    }

    /// Returns an empty store in a file.
    #[cfg(feature = "sqlite")]
    pub fn sqlite() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self::Sqlite {
            file: directory.path().join("tasks.db"),
            directory: Some(directory),
        }
    }

    /// Returns an empty store on the server of this process. `None`, with a line that says so, where there is no
    /// PostgreSQL.
    ///
    /// # Panics
    ///
    /// Panics if there is none, and the variable `CI` is set and not empty.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Option<Self> {
        let url = PostgresServer::shared()?.url();
        let schema = format!("test_{:x}", fastrand::u64(..));
        Some(Self::Postgres { url, schema })
    }

    /// Returns an empty store on the server of this process. `None`, with a line that says so, where there is no Redis.
    ///
    /// # Panics
    ///
    /// Panics if there is none, and the variable `CI` is set and not empty.
    #[cfg(feature = "redis")]
    pub fn redis() -> Option<Self> {
        let url = RedisServer::shared()?.url();
        let prefix = format!("test_{:x}", fastrand::u64(..));
        Some(Self::Redis { url, prefix })
    }

    /// Returns what [`FromStr`] reads, for another process.
    ///
    /// # Panics
    ///
    /// Panics of a store in memory, which has no other process.
    pub fn to_argument(&self) -> String {
        match self {
            Self::Memory(_) => panic!("no other process can see it"),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, .. } => format!("sqlite:{}", file.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres { url, schema } => format!("postgres:{schema}:{url}"),
            #[cfg(feature = "redis")]
            Self::Redis { url, prefix } => format!("redis:{prefix}:{url}"),
        }
    }

    /// Returns the store, for one of the processes that share it.
    pub fn store(&self) -> Store {
        let store: Store = match self {
            Self::Memory(memory) => memory.clone().into(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite { file, .. } => bg_runtime::durable::Sqlite::file(file),
            #[cfg(feature = "postgres")]
            Self::Postgres { url, schema } => {
                let store = bg_runtime::durable::Postgres::url(url);
                store.schema(schema).connections(5)
            }
            #[cfg(feature = "redis")]
            Self::Redis { url, prefix } => bg_runtime::durable::Redis::url(url).prefix(prefix),
        };
        store.lease(LEASE)
    }
}

impl FromStr for Place {
    type Err = String;

    /// Reads what [`to_argument`](Place::to_argument) returns.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            #[cfg(feature = "sqlite")]
            Some(("sqlite", file)) => Ok(Self::Sqlite {
                file: file.into(),
                directory: None,
            }),
            #[cfg(feature = "postgres")]
            Some(("postgres", rest)) => {
                let (schema, url) = rest.split_once(':').ok_or("no schema")?;
                Ok(Self::Postgres {
                    url: url.to_owned(),
                    schema: schema.to_owned(),
                })
            }
            #[cfg(feature = "redis")]
            Some(("redis", rest)) => {
                let (prefix, url) = rest.split_once(':').ok_or("no prefix")?;
                Ok(Self::Redis {
                    url: url.to_owned(),
                    prefix: prefix.to_owned(),
                })
            }
            _ => Err(format!("no store is called {text}")),
        }
    }
}
