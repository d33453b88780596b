//! Where the store of one test is.

use std::time::Duration;

use bg_runtime::durable::Store;
use bg_runtime::testing::Memory;

#[cfg(feature = "postgres")]
use super::PostgresServer;

/// How long after it was last heard of a worker of a test counts as lost.
const LEASE: Duration = Duration::from_secs(1);

/// The store of one test, which no other test sees.
#[derive(Debug)]
pub enum Place {
    /// In the memory of the test.
    Memory(Memory),
    /// In a directory that is removed with this.
    #[cfg(feature = "sqlite")]
    Sqlite(tempfile::TempDir),
    /// In a schema of the server that all tests of this process share.
    #[cfg(feature = "postgres")]
    Postgres {
        /// Of the server's database.
        url: String,
        /// Of this test alone.
        schema: String,
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
        Self::Sqlite(tempfile::tempdir().expect("a directory"))
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

    /// Returns the store, for one of the processes that share it.
    pub fn store(&self) -> Store {
        let store: Store = match self {
            Self::Memory(memory) => memory.clone().into(),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(directory) => {
                bg_runtime::durable::Sqlite::file(directory.path().join("tasks.db"))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres { url, schema } => {
                let store = bg_runtime::durable::Postgres::url(url);
                store.schema(schema).connections(5)
            }
        };
        store.lease(LEASE)
    }
}
