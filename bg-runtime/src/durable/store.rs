use std::fmt;
use std::time::Duration;

use super::engine::{Memory, Place};
use super::settings::StoreSettings;
use super::{MigrationSql, OpenStore, StartError};
use crate::secret_key::SecretKey;

/// Where durable tasks are stored, and how this process works on them: given to
/// [`BackgroundBuilder::durable`](crate::BackgroundBuilder::durable).
///
/// Made by `Sqlite::file(..)` and `Postgres::url(..)`, each with the feature of its name, and in tests by
/// [`Memory`](crate::testing::Memory). Connects to nothing yet.
#[derive(Clone)]
#[must_use = "a store does nothing until it is given to `Background::builder().durable(..)`"]
pub struct Store {
    place: Place,
    settings: StoreSettings,
}

impl Store {
    pub(crate) fn new(place: Place) -> Self {
        Self {
            place,
            settings: StoreSettings::default(),
        }
    }

    pub(crate) fn memory(memory: Memory) -> Self {
        Self::new(Place::Memory(memory))
    }

    pub(crate) fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// Returns what cannot be.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        let place = self.place.problem(&self.settings);
        place.into_iter().chain(self.settings.problems())
    }

    pub(crate) fn open(self) -> OpenStore {
        let engine = self.place.open(&self.settings);
        OpenStore::new(engine, self.settings)
    }

    /// Has this process only store tasks, and run none. The states of durable tasks need not be given then.
    pub fn enqueue_only(mut self) -> Self {
        self.settings.works = false;
        self
    }

    /// Sets how many durable tasks of each queue run at once in this process. 100 by default.
    ///
    /// [`queues`](Self::queues) sets others for some of the queues, and `per_process(max_concurrent = ..)` of a task
    /// bounds what that one needs much of. A plain `fn` counts towards
    /// [`max_blocking`](crate::BackgroundBuilder::max_blocking) as well.
    pub fn concurrency(mut self, tasks: usize) -> Self {
        self.settings.concurrency = tasks;
        self
    }

    /// Sets how many connections this process has to the store, those that listen included. 10 by default.
    ///
    /// With PostgreSQL there are at least 5: two listen, one is for the heartbeat, and two for all the rest. With SQLite
    /// there are at most 5, whatever is set. With Redis this sets nothing: a worker has 3, and 2 for each queue.
    pub fn connections(mut self, connections: u32) -> Self {
        self.settings.connections = connections;
        self
    }

    /// Has this process run only the tasks of these names: whole ones, or the begin of one and `*`, as in
    /// `"emails.*"`. By default it runs every durable task that it knows.
    pub fn only<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.settings.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Has this process look at these queues only, each with how many of its tasks run here at once:
    /// `["default", "slow"]`, or `[("default", 100), ("slow", 2)]`. By default it looks at all that its tasks name.
    pub fn queues<Q: Into<Queue>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        let queues = queues.into_iter().map(|queue| {
            let Queue { name, at_once } = queue.into();
            (name, at_once)
        });
        self.settings.queues = Some(queues.collect());
        self
    }

    /// Sets how long after it was last heard of a worker counts as lost, and its tasks run again elsewhere. 30
    /// seconds by default. A worker lets itself be heard three times in that time, however long its tasks take.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// Sets how long completed and cancelled tasks stay listed. 24 hours by default. With Redis, at most the last 10,000
    /// completed ones of each queue do.
    pub fn keep_completed(mut self, time: Duration) -> Self {
        self.settings.keep_completed = time;
        self
    }

    /// Sets how long dead tasks stay listed. 30 days by default.
    pub fn keep_dead(mut self, time: Duration) -> Self {
        self.settings.keep_dead = time;
        self
    }

    /// Sets how many bytes the arguments of one task may take as JSON. 1 MiB by default. A task with more is refused when
    /// it is stored. One that another process has stored is not run here: it goes back for a minute, and its
    /// [`status`](super::StoredTask::status) says why.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.settings.max_payload = bytes;
        self
    }

    /// Sets how long storing may take before it counts as failed, and the client is told 503. 5 seconds by default.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.settings.store_timeout = timeout;
        self
    }

    /// Has the durable tasks of a request start only after the last byte of its response has been sent, as other tasks
    /// do. By default they start as soon as they are stored, which may be before.
    ///
    /// They are stored before the response's head even so. If this process dies while it sends the response, they start
    /// two [leases](Self::lease) after it was last heard of. Costs another write for each moment in which responses
    /// end. What is enqueued, or added when the response is on its way, is not held.
    pub fn hold_until_sent(mut self) -> Self {
        self.settings.hold_until_sent = true;
        self
    }

    /// Creates the tables, or brings them up to date, and returns: for a deployment that does this in a step of its own,
    /// by a role that may, while the application says [`migrate(false)`](Self::migrate). Redis has no tables, so that this
    /// only looks at the server there.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or its tables cannot be brought up to date.
    pub async fn run_migrations(self) -> Result<(), StartError> {
        self.migrate(true).open().start().await
    }

    /// Returns the SQL that creates the tables, step by step, for a deployment in which another tool runs all
    /// migrations: each becomes a file of that tool, and the application says [`migrate(false)`](Self::migrate).
    /// Connects to nothing.
    ///
    /// The steps are for an empty database. A later version of this crate may have more of them, at the end; those of
    /// River that a database has had are listed in its table `river_migration`. Empty for a store in memory or in Redis.
    ///
    /// ```
    /// # #[cfg(feature = "postgres")]
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use bg_runtime::durable::Postgres;
    ///
    /// let store = Postgres::url("postgres://localhost/tasks").schema("tasks");
    /// for step in store.migration_sql()? {
    ///     std::fs::write(format!("migrations/{}.sql", step.name), step.sql)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the store cannot be one, as with a URL that is none.
    pub fn migration_sql(&self) -> Result<Vec<MigrationSql>, StartError> {
        self.place.migration_sql(&self.settings)
    }

    /// Sets the keys with which `#[secret]` parameters are stored: the first seals, and all open, so that a key can be
    /// replaced. Rows that were sealed with one that is left out cannot be read any more.
    pub fn secret_keys(mut self, keys: impl IntoIterator<Item = SecretKey>) -> Self {
        self.settings.secret_keys = keys.into_iter().collect();
        self
    }

    /// Sets the schema of the tables. PostgreSQL only. By default it is the first that there is of the role's
    /// `search_path`, which most often is `public`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.settings.schema = Some(schema.into());
        self
    }

    /// Sets how all keys begin. Redis only. `bg` by default.
    ///
    /// Stores with different prefixes know nothing of each other. In a cluster the keys of a store are on one node, so the
    /// prefix is put between braces there, if it has none.
    #[cfg(feature = "redis")]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.settings.prefix = Some(prefix.into());
        self
    }

    /// Sets the certificate, as PEM, of whoever certifies the Redis at a `rediss://` address. Default: those that web
    /// browsers know.
    #[cfg(feature = "redis-tls")]
    pub fn root_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.settings.root_certificate = Some(pem.into().into());
        self
    }

    /// Sets whether the tables are created and brought up to date when this process starts. `true` by default. Redis has
    /// none.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.settings.migrate = migrate;
        self
    }

    /// Sets whether the outcome of a worker is refused whose task was given to another. For the test that has to fail
    /// without it.
    #[doc(hidden)]
    pub fn fence(mut self, fence: bool) -> Self {
        self.settings.fence = fence;
        self
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("place", &self.place)
            .field("settings", &self.settings)
            .finish()
    }
}

/// A queue that a worker looks at, for [`Store::queues`]: `"slow".into()`, or with how many of its tasks run at once,
/// `("slow", 2).into()`.
#[derive(Debug, Clone)]
pub struct Queue {
    name: String,
    at_once: Option<usize>,
}

impl From<&str> for Queue {
    fn from(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            at_once: None,
        }
    }
}

impl From<String> for Queue {
    fn from(name: String) -> Self {
        Self {
            name,
            at_once: None,
        }
    }
}

impl From<(&str, usize)> for Queue {
    fn from((name, at_once): (&str, usize)) -> Self {
        Self {
            name: name.to_owned(),
            at_once: Some(at_once),
        }
    }
}
