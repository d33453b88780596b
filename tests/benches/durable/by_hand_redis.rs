//! What one would write without a library: a list, a lock for each task that runs, and scripts that keep both together.

use std::collections::HashMap;
use std::error::Error;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Script};

/// Stores a task: a hash, and its id in the list.
const ADD: &str =
    "redis.call('HSET', 'hand:' .. ARGV[1], 'name', 'noop', 'data', ARGV[2], 'at', ARGV[3])
    redis.call('LPUSH', 'hand:wait', ARGV[1])";

/// Locks a task that was taken from the list, counts the attempt, and reads it.
const LOCK: &str = "local job = 'hand:' .. ARGV[1]
    redis.call('SET', job .. ':lock', ARGV[2], 'PX', 30000)
    redis.call('HSET', job, 'begun', ARGV[3])
    redis.call('HINCRBY', job, 'attempts', 1)
    return redis.call('HGETALL', job)";

/// Takes a task from the list, and locks it.
const CLAIM: &str = "local id = redis.call('RPOPLPUSH', 'hand:wait', 'hand:active')
    if not id then return false end
    local job = 'hand:' .. id
    redis.call('SET', job .. ':lock', ARGV[1], 'PX', 30000)
    redis.call('HSET', job, 'begun', ARGV[2])
    redis.call('HINCRBY', job, 'attempts', 1)
    return {id, redis.call('HGETALL', job)}";

/// Records that a task has ended, if its lock is still the same.
const DONE: &str = "local job = 'hand:' .. ARGV[1]
    if redis.call('GET', job .. ':lock') ~= ARGV[2] then return 0 end
    redis.call('DEL', job .. ':lock')
    redis.call('LREM', 'hand:active', -1, ARGV[1])
    redis.call('HSET', job, 'ended', ARGV[3])
    redis.call('ZADD', 'hand:done', ARGV[3], ARGV[1])
    return 1";

/// A task as it is read.
pub(crate) type Taken = HashMap<String, String>;

#[derive(Clone)]
pub(crate) struct ByHand {
    connection: MultiplexedConnection,
    add: Script,
    lock: Script,
    claim: Script,
    done: Script,
}

impl ByHand {
    pub(crate) async fn connect(url: &str) -> Result<Self, Box<dyn Error>> {
        // It waits for a task without an end.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let client = Client::open(url)?;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        Ok(Self {
            connection: connection.await?,
            add: Script::new(ADD),
            lock: Script::new(LOCK),
            claim: Script::new(CLAIM),
            done: Script::new(DONE),
        })
    }

    /// Forgets everything.
    pub(crate) async fn clear(&mut self) -> redis::RedisResult<()> {
        redis::cmd("FLUSHALL")
            .query_async(&mut self.connection)
            .await
    }

    pub(crate) async fn add(&mut self, number: u64) -> redis::RedisResult<()> {
        let data = format!("{{\"number\":{number}}}");
        let mut add = self
            .add
            .arg(format!("0190a0b0-0000-7000-8000-{number:012x}"));
        add.arg(data).arg(number);
        add.invoke_async(&mut self.connection).await
    }

    /// Waits for a task. The connection answers nothing else meanwhile.
    pub(crate) async fn take(&mut self) -> redis::RedisResult<String> {
        let mut next = redis::cmd("BLMOVE");
        next.arg(&["hand:wait", "hand:active", "RIGHT", "LEFT"])
            .arg(0);
        next.query_async(&mut self.connection).await
    }

    pub(crate) async fn lock(&mut self, id: &str, token: &str) -> redis::RedisResult<Taken> {
        let mut lock = self.lock.arg(id);
        lock.arg(token).arg(1);
        lock.invoke_async(&mut self.connection).await
    }

    pub(crate) async fn claim(
        &mut self,
        token: &str,
    ) -> redis::RedisResult<Option<(String, Taken)>> {
        let mut claim = self.claim.arg(token);
        claim.arg(1);
        claim.invoke_async(&mut self.connection).await
    }

    pub(crate) async fn done(&mut self, id: &str, token: &str) -> redis::RedisResult<bool> {
        let mut done = self.done.arg(id);
        done.arg(token).arg(1);
        done.invoke_async(&mut self.connection).await
    }
}
