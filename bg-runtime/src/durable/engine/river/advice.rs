//! What to do about an error of the database, where that says only what is wrong.

use std::fmt;

use riverqueue::{migrate, sqlx};

use super::failure::primary;
use crate::task::BoxError;

/// An error of the database, and what to do about it.
#[derive(Debug)]
struct Advised {
    advice: &'static str,
    error: sqlx::Error,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.advice)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Adds what to do about it, where the database says only what is wrong.
pub(super) fn explained(error: sqlx::Error) -> BoxError {
    match advice(&error) {
        Some(advice) => Advised { advice, error }.into(),
        None => error.into(),
    }
}

/// As [`explained`], of what River's migrator says.
pub(super) fn explained_migration(error: migrate::Error) -> BoxError {
    match error {
        migrate::Error::Database(error) => explained(error),
        other => other.into(),
    }
}

/// Returns whether no connection was free or could be made: the pool does not say why.
#[cfg(feature = "postgres")]
pub(super) fn is_without_connection(error: &(dyn std::error::Error + 'static)) -> bool {
    let advised = error.downcast_ref::<Advised>();
    advised.is_some_and(|advised| matches!(advised.error, sqlx::Error::PoolTimedOut))
}

/// Of a pooler that hands a session around, and nothing of what belongs to it.
const FORGETFUL: &str = "a pooler in its transaction mode has to keep prepared statements: set \
    `max_prepared_statements` of PgBouncer, 1.21 or later, or connect in its session mode";

/// As [`explained`], of what goes wrong behind such a pooler.
#[cfg(feature = "postgres")]
pub(super) fn forgetful(error: Option<sqlx::Error>) -> BoxError {
    match error {
        Some(error) => Advised {
            advice: FORGETFUL,
            error,
        }
        .into(),
        None => FORGETFUL.into(),
    }
}

fn advice(error: &sqlx::Error) -> Option<&'static str> {
    const NO_TLS: bool = cfg!(not(feature = "postgres-tls"));
    let error = match error {
        sqlx::Error::Tls(_) if NO_TLS => {
            return Some("encrypted connections need the feature `postgres-tls` of bg-runtime");
        }
        sqlx::Error::PoolTimedOut => {
            return Some("no connection was free, or could be made, in 3 seconds");
        }
        sqlx::Error::Database(error) => error,
        _ => return None,
    };
    let code = error.code()?;
    Some(match &*code {
        "28000" if NO_TLS && error.message().contains("no encryption") => {
            "it may ask for an encrypted connection, which needs the feature `postgres-tls` of bg-runtime"
        }
        "3D000" => "create the database first",
        "42501" => {
            "its role has no right to do this: grant that, or have a role that has it call `run_migrations()`, and set \
             `migrate(false)` here"
        }
        "53300" => {
            "it takes no more connections: set fewer with `connections(..)`, or raise its `max_connections`"
        }
        "25006" => {
            "it only reads, and tasks have to be written: give the address of the primary server"
        }
        // Names of statements that other clients have made, or that are on another connection.
        "42P05" | "26000" => FORGETFUL,
        "53100" => "there is no room on its disk",
        "57014" => {
            "the `statement_timeout` of its role is too short, or something else was in the way for so long"
        }
        code => match primary(code).as_str() {
            "5" | "6" => "another process or connection has locked it for too long",
            "8" => "the file, or its directory, may not be written to",
            "13" => "there is no room on its disk",
            "14" => "the file or its directory is missing, is something else, or may not be opened",
            _ => return None,
        },
    })
}
