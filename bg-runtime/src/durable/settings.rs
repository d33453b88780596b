use std::time::Duration;

/// What a [`Store`](super::Store) says, for every engine.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// Whether this process runs tasks.
    pub(crate) works: bool,
    /// How many run at once.
    pub(crate) concurrency: usize,
    /// How many connections there are, the one that listens included.
    pub(crate) connections: u32,
    /// The names of the tasks that this process runs, or begins of names and `*`. `None` for all that it knows.
    pub(crate) only: Option<Vec<String>>,
    /// The queues that this process looks at, with how many of each it runs at once. `None` for all that its tasks
    /// name.
    pub(crate) queues: Option<Vec<(String, Option<usize>)>>,
    /// How long after it was last heard of a worker counts as lost.
    pub(crate) lease: Duration,
    pub(crate) keep_completed: Duration,
    pub(crate) keep_dead: Duration,
    /// In bytes.
    pub(crate) max_payload: usize,
    /// How long storing may take.
    pub(crate) store_timeout: Duration,
    /// Of PostgreSQL.
    pub(crate) schema: Option<String>,
    pub(crate) migrate: bool,
}

impl Default for StoreSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            works: true,
            concurrency: 100,
            connections: 10,
            only: None,
            queues: None,
            lease: Duration::from_secs(30),
            keep_completed: DAY,
            keep_dead: DAY * 30,
            max_payload: 1 << 20,
            store_timeout: Duration::from_secs(5),
            schema: None,
            migrate: true,
        }
    }
}
