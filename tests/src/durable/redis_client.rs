//! Scripts on the Redis of a test, from somebody who knows nothing of the library.

use std::time::Duration;

use redis::{Client, Cmd, FromRedisValue, RedisError};

use super::Place;

/// How long a test waits for an answer.
const LIMIT: Duration = Duration::from_secs(20);

/// Asks a server for something, on a connection of its own.
///
/// # Errors
///
/// If it cannot be reached, or refuses.
pub async fn ask<T: FromRedisValue>(url: &str, command: &Cmd) -> Result<T, RedisError> {
    let asked = async {
        let client = Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        command.query_async(&mut connection).await
    };
    let answer = tokio::time::timeout(LIMIT, asked).await;
    answer.unwrap_or_else(|_| panic!("no answer in {LIMIT:?}"))
}

impl Place {
    /// Runs a script, in which `P` is how all keys begin.
    ///
    /// # Panics
    ///
    /// Panics if this is no Redis, or it refuses.
    pub async fn lua<T: FromRedisValue>(&self, script: &str) -> T {
        let Self::Redis { url, prefix } = self else {
            panic!("it runs no scripts");
        };
        let mut eval = redis::cmd("EVAL");
        let begin = "local P, call = KEYS[1] .. ':', redis.call";
        eval.arg(format!("{begin} {script}")).arg(1).arg(prefix);
        ask(url, &eval).await.expect("the script runs")
    }
}
