use std::time::Duration;

use crate::secret_key::SecretKeys;

/// What a [`Store`](super::Store) says, for every engine.
#[derive(Debug, Clone)]
pub(crate) struct StoreSettings {
    /// Whether this process runs tasks.
    pub(crate) works: bool,
    /// How many of each queue run at once.
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
    /// Whether the tasks of a response start only when it has been sent.
    pub(crate) hold_until_sent: bool,
    /// Of PostgreSQL.
    pub(crate) schema: Option<String>,
    /// Of the keys in Redis.
    #[cfg(feature = "redis")]
    pub(crate) prefix: Option<String>,
    /// As PEM, of whoever certifies a Redis.
    #[cfg(feature = "redis")]
    pub(crate) root_certificate: Option<std::sync::Arc<[u8]>>,
    pub(crate) migrate: bool,
    pub(crate) secret_keys: SecretKeys,
    /// Whether the outcome of a worker is refused whose task was given to another. Off only where a test shows what
    /// happens then.
    pub(crate) fence: bool,
}

impl StoreSettings {
    /// Returns whether this process runs the tasks of a name.
    pub(crate) fn runs(&self, name: &str) -> bool {
        let only = self.only.as_ref();
        only.is_none_or(|only| only.iter().any(|pattern| matches(pattern, name)))
    }

    /// Returns which of the names that this process is to run none of these is.
    pub(crate) fn only_nothing(&self, names: &[&str]) -> Vec<&str> {
        let only = self.only.iter().flatten().map(String::as_str);
        let nothing = only.filter(|pattern| names.iter().all(|name| !matches(pattern, name)));
        nothing.collect()
    }

    /// Returns what cannot be.
    pub(crate) fn problems(&self) -> impl Iterator<Item = String> {
        let zeros = [
            ("concurrency", self.concurrency == 0),
            ("connections", self.connections == 0),
            ("max_payload", self.max_payload == 0),
            ("lease", self.lease.is_zero()),
            ("store_timeout", self.store_timeout.is_zero()),
        ];
        let zeros = zeros.into_iter().filter(|(_, is_zero)| *is_zero);
        let zeros = zeros.map(|(setting, _)| {
            format!("`{setting}` of the store is zero: set it to more, or leave it out")
        });
        let queues = self.queues.iter().flatten();
        let queues = queues.filter(|(_, at_once)| *at_once == Some(0));
        let queues = queues.map(|(queue, _)| format!("no task of the queue `{queue}` would ever run: leave it out of `queues`, or set 1 or more"));
        zeros.chain(queues)
    }
}

/// Returns whether a name is the pattern, or begins as one that ends with `*`.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(begin) => name.starts_with(begin),
        None => name == pattern,
    }
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
            hold_until_sent: false,
            schema: None,
            #[cfg(feature = "redis")]
            prefix: None,
            #[cfg(feature = "redis")]
            root_certificate: None,
            migrate: true,
            secret_keys: SecretKeys::default(),
            fence: true,
        }
    }
}
