//! What the errors of Redis mean.

use std::time::Duration;

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use super::advice::explained;
use crate::durable::error::StoreError;

/// Returns whether the connection was lost while something was asked: it may have been done.
pub(super) fn is_cut(error: &RedisError) -> bool {
    error.is_connection_dropped() && !error.is_connection_refusal()
}

/// Returns whether another connection may do better.
pub(super) fn is_of_connection(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_timeout()
        || error.is_connection_dropped()
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
