//! A store of one test, and what is done to it behind the engine's back.

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use sqlx::Connection as _;

use super::*;

/// A database of one test, or a prefix of its own in Redis.
pub(in crate::durable::engine) enum Lab {
    #[cfg(feature = "sqlite")]
    File(std::path::PathBuf),
    #[cfg(feature = "postgres")]
    Schema { url: String, schema: String },
    #[cfg(feature = "redis")]
    Keys { url: String, prefix: String },
}

impl Lab {
    fn unique() -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("bg_{:x}_{next}_{:x}", std::process::id(), fastrand::u32(..))
    }

    #[cfg(feature = "sqlite")]
    pub(in crate::durable::engine) fn file() -> Self {
        let directory = std::env::temp_dir().join(Self::unique());
        std::fs::create_dir(&directory).unwrap();
        Self::File(directory.join("tasks.db"))
    }

    #[cfg(feature = "postgres")]
    pub(in crate::durable::engine) fn schema() -> Option<Self> {
        let url = std::env::var("BG_TEST_POSTGRES").ok()?;
        let schema = Self::unique();
        Some(Self::Schema { url, schema })
    }

    #[cfg(feature = "redis")]
    pub(in crate::durable::engine) fn keys() -> Option<Self> {
        let url = std::env::var("BG_TEST_REDIS").ok()?;
        let prefix = Self::unique();
        Some(Self::Keys { url, prefix })
    }

    pub(in crate::durable::engine) fn store(&self) -> Store {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => crate::durable::Sqlite::file(path),
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let store = crate::durable::Postgres::url(url);
                store.schema(schema).connections(6)
            }
            #[cfg(feature = "redis")]
            Self::Keys { url, prefix } => crate::durable::Redis::url(url).prefix(prefix),
        }
    }

    pub(in crate::durable::engine) fn engine(&self) -> Arc<dyn Engine> {
        self.engine_with(|store| store)
    }

    pub(in crate::durable::engine) fn engine_with(
        &self,
        settings: impl FnOnce(Store) -> Store,
    ) -> Arc<dyn Engine> {
        settings(self.store()).open().engine().clone()
    }

    /// Runs SQL as somebody who knows nothing of the engine. `{}` is the schema, with its dot.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(in crate::durable::engine) async fn run(&self, sql: &str) {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.replace("{}", ""));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let sql = sqlx::AssertSqlSafe(sql.replace("{}", &format!("{schema}.")));
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "redis")]
            Self::Keys { .. } => panic!("it has no SQL: {sql}"),
        }
    }

    /// Returns what SQLite or PostgreSQL is asked for.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(in crate::durable::engine) fn sql<'a>(
        &self,
        sqlite: &'a str,
        postgres: &'a str,
    ) -> &'a str {
        let _ = (sqlite, postgres);
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(_) => sqlite,
            #[cfg(feature = "postgres")]
            Self::Schema { .. } => postgres,
            #[cfg(feature = "redis")]
            Self::Keys { .. } => panic!("it has no SQL"),
        }
    }

    /// Asks Redis as somebody who knows nothing of the engine. `{}` in an argument is the prefix, with its colon.
    #[cfg(feature = "redis")]
    pub(in crate::durable::engine) async fn ask<T: ::redis::FromRedisValue>(
        &self,
        command: &[&str],
    ) -> T {
        #[allow(irrefutable_let_patterns, reason = "with the feature `redis` alone")]
        let Self::Keys { url, prefix } = self else {
            panic!("it is no Redis: {command:?}")
        };
        let client = ::redis::Client::open(&**url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut ask = ::redis::Cmd::new();
        for argument in command {
            ask.arg(argument.replace("{}", &format!("{prefix}:")));
        }
        ask.query_async(&mut connection).await.unwrap()
    }

    /// Returns the keys that are as `pattern` says, behind the prefix.
    #[cfg(feature = "redis")]
    pub(in crate::durable::engine) async fn keys_like(&self, pattern: &str) -> Vec<String> {
        let pattern = format!("{{}}{pattern}");
        let (mut keys, mut cursor) = (Vec::new(), "0".to_owned());
        loop {
            let scan = ["SCAN", &cursor, "MATCH", &pattern, "COUNT", "10000"];
            let (next, some): (String, Vec<String>) = self.ask(&scan).await;
            keys.extend(some);
            cursor = next;
            if cursor == "0" {
                return keys;
            }
        }
    }

    #[cfg(feature = "redis")]
    async fn delete_like(&self, pattern: &str) {
        for some in self.keys_like(pattern).await.chunks(1000) {
            let mut delete = vec!["DEL"];
            delete.extend(some.iter().map(String::as_str));
            let _: u64 = self.ask(&delete).await;
        }
    }

    /// The name of the worker that leads the others.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(in crate::durable::engine) async fn leader(&self) -> Option<String> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => {
                let url = format!("sqlite://{}", path.display());
                let mut connection = sqlx::SqliteConnection::connect(&url).await.unwrap();
                let leader = sqlx::query_scalar("select leader_id from river_leader");
                leader.fetch_optional(&mut connection).await.unwrap()
            }
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let sql = format!("select leader_id from {schema}.river_leader");
                let leader = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
                leader.fetch_optional(&mut connection).await.unwrap()
            }
            #[cfg(feature = "redis")]
            Self::Keys { .. } => panic!("it has no leader"),
        }
    }

    /// Waits until a worker leads the others, where one does.
    #[allow(clippy::unused_async, reason = "in Redis alone none does")]
    pub(in crate::durable::engine) async fn has_leader(&self) {
        match self {
            #[cfg(feature = "redis")]
            Self::Keys { .. } => {}
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                while self.leader().await.is_none() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
    }

    /// Has every claim be an hour old.
    pub(in crate::durable::engine) async fn age(&self) {
        match self {
            #[cfg(feature = "redis")]
            Self::Keys { .. } => self.delete_like("*:lock").await,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let hour = self.sql(
                    "strftime('%Y-%m-%d %H:%M:%f', 'now', '-1 hour')",
                    "now() - interval '1 hour'",
                );
                let sql = format!(
                    "update {{}}river_job set attempted_at = {hour} where state = 'running'"
                );
                self.run(&sql).await;
            }
        }
    }

    /// Has the worker of a task count as lost, once, where whoever claims says how long its silence may be, and not the
    /// one who looks for it.
    #[allow(clippy::unused_async, reason = "a database alone is left as it is")]
    pub(in crate::durable::engine) async fn silence(&self, id: TaskId) {
        match self {
            #[cfg(feature = "redis")]
            Self::Keys { .. } => {
                // Until somebody has noticed: the worker itself may say before that it is alive.
                const LOSE: &str = "local job = KEYS[1]
                    if redis.call('HEXISTS', job, 'finishedOn') == 1 then return '' end
                    local losses = redis.call('HGET', job, 'stc') or '0'
                    if ARGV[1] == '' or losses == ARGV[1] then redis.call('DEL', job .. ':lock') end
                    return losses";
                let job = format!("{{}}default:{id}");
                let before: String = self.ask(&["EVAL", LOSE, "1", &job, ""]).await;
                let noticed = timeout(PATIENCE, async {
                    while self
                        .ask::<String>(&["EVAL", LOSE, "1", &job, &before])
                        .await
                        == before
                    {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                });
                if !before.is_empty() {
                    noticed.await.expect("it is noticed");
                }
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let _ = id;
            }
        }
    }

    /// Cancels what runs, and tells nobody.
    pub(in crate::durable::engine) async fn cancel_unheard(&self, id: TaskId) {
        match self {
            #[cfg(feature = "redis")]
            Self::Keys { .. } => {
                let job = format!("{{}}default:{id}");
                let _: u64 = self.ask(&["HSET", &job, "#c", "1"]).await;
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                let _ = id;
                let set = self.sql(
                    "jsonb_set(metadata, '$.cancel_attempted_at', '2000-01-01T00:00:00Z')",
                    "metadata || '{\"cancel_attempted_at\": \"2000-01-01T00:00:00Z\"}'",
                );
                self.run(&format!("update {{}}river_job set metadata = {set}"))
                    .await;
            }
        }
    }

    /// Stores as any other client of River, or of BullMQ, does.
    pub(in crate::durable::engine) async fn another_client_stores(
        &self,
        name: &str,
        arguments: &str,
        runs: u32,
    ) {
        match self {
            #[cfg(feature = "redis")]
            Self::Keys { url, prefix } => {
                let connection = ::bullmq::options::RedisConnectionOptions::new().url(url);
                let options = ::bullmq::QueueOptions::new();
                let options = options.connection(connection).prefix(prefix);
                let queue = ::bullmq::Queue::with_options("default", options)
                    .await
                    .unwrap();
                let arguments: serde_json::Value = serde_json::from_str(arguments).unwrap();
                queue.add(name, arguments).attempts(runs).await.unwrap();
            }
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            _ => {
                // SQLite keeps it as text, which River reads as well.
                let values = format!("('{name}', '{arguments}', {runs})");
                let insert =
                    format!("insert into {{}}river_job (kind, args, max_attempts) values {values}");
                self.run(&insert).await;
            }
        }
    }

    #[cfg(feature = "sqlite")]
    pub(in crate::durable::engine) fn path(&self) -> &std::path::Path {
        match self {
            Self::File(path) => path,
            #[cfg(any(feature = "postgres", feature = "redis"))]
            _ => panic!("it has no file"),
        }
    }

    #[allow(clippy::unused_async, reason = "a file alone is not waited for")]
    pub(in crate::durable::engine) async fn clear(self) {
        match &self {
            #[cfg(feature = "sqlite")]
            Self::File(path) => std::fs::remove_dir_all(path.parent().unwrap()).unwrap(),
            #[cfg(feature = "postgres")]
            Self::Schema { url, schema } => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let sql = format!("drop schema if exists {schema} cascade");
                let sql = sqlx::AssertSqlSafe(sql);
                sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            }
            #[cfg(feature = "redis")]
            Self::Keys { .. } => self.delete_like("*").await,
        }
    }
}
