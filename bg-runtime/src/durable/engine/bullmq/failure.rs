//! What the errors of Redis mean.

use std::time::Duration;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::advice::explained;
use crate::durable::error::StoreError;
use crate::one_line::OneLine;
use crate::task::Chain;

/// Returns whether the connection was lost while something was asked: it may have been done.
pub(super) fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Returns whether another connection may do better.
pub(super) fn is_of_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
        || is_not_connected(error)
        || matches!(
            error.kind(),
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                    | ServerErrorKind::BusyLoading
                    | ServerErrorKind::MasterDown
                    | ServerErrorKind::ClusterDown
            ) | ErrorKind::ClusterConnectionNotFound
        )
}

/// Returns whether nothing was asked, because there was no connection.
pub(super) fn is_not_connected(error: &RedisError) -> bool {
    error.is_connection_refusal() || error.kind() == ErrorKind::Client
}

/// What an error means that comes before anything is asked.
pub(super) fn not_connected(error: RedisError) -> RedisError {
    let why = match () {
        () if error.is_connection_refusal() => return error,
        () if error.is_timeout() => "it does not answer".to_owned(),
        () if error.is_connection_dropped() => format!(
            "it has ended the connection at once ({}), as it does where as many are open as its `maxclients` allows, or \
             where another kind of connection is expected, such as an encrypted one",
            OneLine(Chain(&error))
        ),
        () => return error,
    };
    RedisError::from((ErrorKind::Client, "not connected", why))
}

pub(super) fn invalid(why: String) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, "no address", why))
}

/// What an error means for whoever asked. `limit` is how long an answer may take.
pub(super) fn store_error(error: RedisError, limit: Duration) -> StoreError {
    if error.is_timeout() || is_cut(&error) {
        return StoreError::Timeout(limit);
    }
    let is_away = is_of_connection(&error) || error.is_connection_refusal();
    match is_away {
        true => StoreError::unreachable(explained(error)),
        false => StoreError::refused(explained(error)),
    }
}
