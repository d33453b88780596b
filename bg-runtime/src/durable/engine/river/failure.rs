//! What the errors of the database and of River mean.

use riverqueue::sqlx;

use super::advice::explained;
use crate::durable::error::StoreError;
use crate::task::BoxError;

/// How SQLite says that another connection writes, or that the file cannot be opened or read.
const SQLITE_AWAY: [&str; 4] = ["5", "6", "10", "14"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if is_away(&error) {
            Self::unreachable(explained(error))
        } else {
            Self::refused(explained(error))
        }
    }
}

impl From<riverqueue::Error> for StoreError {
    fn from(error: riverqueue::Error) -> Self {
        match error {
            riverqueue::Error::Database(error) => error.into(),
            other => Self::refused(other),
        }
    }
}

/// Returns whether the database may answer if it is asked again later.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // Of PostgreSQL: lost connections, too many of them, a server that stops or starts, and one that has
            // become a standby.
            let away = ["08", "53300", "57P01", "57P02", "57P03", "25006"];
            away.iter().any(|begin| code.starts_with(begin))
                || SQLITE_AWAY.contains(&primary(&code).as_str())
        }),
        _ => false,
    }
}

/// Returns whether the connection had been cut, as far as the error says, while the server may be there.
#[cfg(feature = "postgres")]
pub(super) fn is_cut(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != std::io::ErrorKind::ConnectionRefused,
        // Ended by an administrator.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code == "57P01"),
        _ => false,
    }
}

/// Returns whether the same may succeed at once: another transaction was in the way.
pub(super) fn is_collision(error: &riverqueue::Error) -> bool {
    let riverqueue::Error::Database(sqlx::Error::Database(error)) = error else {
        return false;
    };
    error
        .code()
        .is_some_and(|code| ["40P01", "40001"].contains(&&*code))
}

/// SQLite adds the details to its codes in the upper bits.
pub(super) fn primary(code: &str) -> String {
    match code.parse::<u32>() {
        Ok(number) if code.len() < 5 => (number & 0xFF).to_string(),
        _ => code.to_owned(),
    }
}

/// The text of an error and of what caused it, for where only a text is kept.
pub(super) fn text(error: impl Into<BoxError>) -> String {
    let error = error.into();
    crate::task::Chain(&*error).to_string()
}
