//! What to do about errors of Redis, and about settings with which it keeps nothing.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::link::Link;
use super::scripts::call;
use crate::durable::error::StartError;
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::task::{BoxError, Chain};

/// Of the oldest version whose commands the scripts use.
const OLDEST: (u32, u32) = (6, 2);

/// Adds what to do about it.
pub(super) fn explained(error: RedisError) -> BoxError {
    let says = error.detail().unwrap_or_default();
    let advice = match (error.kind(), error.code()) {
        // It was not connected to, which says enough.
        (ErrorKind::Client, _) => return says.to_owned().into(),
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
            "give the right user and password in the URL"
        }
        _ if is_of_rights(&error) => {
            "its user needs more rights: `ACL SETUSER .. ~bg* &bg:* +@all -@admin` gives them, where `bg` is the prefix"
        }
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            "it is a replica, which only reads: give the address of the primary server"
        }
        (_, Some("OOM")) => {
            "it is full: give it more memory, or let tasks be kept for a shorter time"
        }
        (_, Some("MISCONF")) => {
            "it cannot write to its disk, and refuses what would be lost: look at its log"
        }
        (_, Some("WRONGTYPE")) => {
            "something else has keys with this prefix: set another one with `prefix(..)`"
        }
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
            "it reads its data, and can be asked when it has"
        }
        _ if says.contains("max number of clients") => {
            "it takes no more connections: raise its `maxclients`, or let fewer processes have some"
        }
        _ => return error.into(),
    };
    format!("{}: {advice}", OneLine(Chain(&error))).into()
}

/// Returns whether its user may not do that. What a script may not do is said in words alone.
fn is_of_rights(error: &RedisError) -> bool {
    let says = error.detail().unwrap_or_default();
    error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm)
        || says.contains("The user executing the script")
        || says.contains("ACL failure in script")
}

/// Looks at a server for the first time.
pub(super) async fn check(
    link: &Link,
    is_cluster: bool,
    prefix: &str,
    store: &str,
) -> Result<(), StartError> {
    let unreachable = |error: BoxError| StartError::Unreachable {
        store: store.to_owned(),
        error: error.into(),
    };
    let incompatible = |error: BoxError| StartError::IncompatibleSchema {
        store: store.to_owned(),
        error: error.into(),
    };
    let look = async || {
        let script = call(prefix, |scripts| &scripts.check);
        let looked: Result<u64, _> = link.run_again(&script).await;
        looked.map(drop).map_err(|error| match error.code() {
            Some("WRONGTYPE") => incompatible(explained(error)),
            _ => unreachable(explained(error)),
        })
    };
    if is_cluster {
        // Each node has settings of its own.
        return look().await;
    }
    let info: Result<String, _> = link.command(&::redis::cmd("INFO")).await;
    let info = info.map_err(|error| unreachable(explained(error)))?;
    let says = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim())
    };
    if says("loading") == Some("1") {
        return Err(unreachable(
            "it reads its data, and can be asked when it has".into(),
        ));
    }
    if says("role") == Some("slave") {
        return Err(unreachable(
            "it is a replica, which only reads: give the address of the primary server".into(),
        ));
    }
    if says("cluster_enabled") == Some("1") {
        return Err(incompatible(
            "it is a node of a cluster: use `Redis::cluster([..])`".into(),
        ));
    }
    if let Some(version) = says("redis_version")
        && older(version)
    {
        let (major, minor) = OLDEST;
        let why = format!(
            "its version is {version}, and {major}.{minor} is the oldest that has what is needed"
        );
        return Err(incompatible(why.into()));
    }
    look().await?;
    if says("aof_enabled") == Some("0") {
        tracing::warn!(
            target: RUNTIME,
            "{store} forgets tasks when it is restarted, but for what its last snapshot has: set `appendonly yes`"
        );
    }
    if let Some(policy) = says("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        tracing::warn!(
            target: RUNTIME,
            "{store} may drop tasks when it is full, or the locks of those that run: set `maxmemory-policy noeviction` \
             instead of {policy}"
        );
    }
    Ok(())
}

fn older(version: &str) -> bool {
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
    let found = (parts.next().unwrap_or(u32::MAX), parts.next().unwrap_or(0));
    found < OLDEST
}
