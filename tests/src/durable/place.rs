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

    /// Returns the process that leads the workers, once there is one. `None` where none leads.
    ///
    /// # Panics
    ///
    /// Panics if none does in time.
    #[allow(clippy::unused_async, reason = "with a store in Redis alone")]
    pub async fn leader(&self) -> Option<u32> {
        match self {
            Self::Memory(_) => None,
            #[cfg(feature = "redis")]
            Self::Redis { .. } => None,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => Some(self.elected().await),
        }
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    async fn elected(&self) -> u32 {
        let elected = async {
            loop {
                let leaders = self.texts("select leader_id from {}river_leader").await;
                if let [leader] = leaders.as_slice() {
                    return leader.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let leader = crate::within("a leader", elected).await;
        // `bg:<process>:..`
        let process = leader
            .split(':')
            .nth(1)
            .map(|id| u32::from_str_radix(id, 16));
        process.expect("its name has parts").expect("a number")
    }

    /// Has every task be due that waits for a time, as if that had come.
    ///
    /// # Panics
    ///
    /// Panics if that is not possible.
    #[allow(clippy::unused_async, reason = "with a store in memory alone")]
    pub async fn let_time_pass(&self) {
        match self {
            Self::Memory(_) => panic!("its time is the system's"),
            // What is a retry, or waits for a worker that knows it, is delayed as well.
            #[cfg(feature = "redis")]
            Self::Redis { .. } => {
                let due = "for _, queue in ipairs(call('SMEMBERS', P .. '#queues')) do
                    local q = P .. queue .. ':'
                    for _, id in ipairs(call('ZRANGE', q .. 'delayed', 0, -1)) do
                        if not call('HGET', q .. id, '#w') then call('ZADD', q .. 'delayed', 0, id) end
                    end
                    call('ZADD', q .. 'marker', 0, '0')
                end";
                let () = self.lua(due).await;
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let due = "update {}river_job set scheduled_at = {now} where state = 'scheduled'";
                self.execute(due).await;
            }
        }
    }

    /// Writes that all tasks have succeeded, as a worker would do that nothing refuses.
    ///
    /// # Panics
    ///
    /// Panics if that is not possible.
    #[allow(clippy::unused_async, reason = "with a store in memory alone")]
    pub async fn write_ends(&self) {
        match self {
            Self::Memory(_) => panic!("nothing can be written into it"),
            #[cfg(feature = "redis")]
            Self::Redis { .. } => {
                let end = "local time = call('TIME')
                    local now = time[1] * 1000 + math.floor(time[2] / 1000)
                    for _, row in ipairs(call('ZRANGE', P .. '#rows', 0, -1)) do
                        local queue, id = string.match(row, '^(.*):(.*)$')
                        local q = P .. queue .. ':'
                        call('LREM', q .. 'active', -1, id)
                        call('ZADD', q .. 'completed', now, id)
                        call('HSET', q .. id, 'finishedOn', now)
                    end";
                let () = self.lua(end).await;
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let end = "update {}river_job set state = 'completed', finalized_at = {now}";
                self.execute(end).await;
            }
        }
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
