//! Where the tables are.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use super::postgres;
use super::{River, migrations};
use crate::durable::MigrationSql;
use crate::durable::engine::Engine;
use crate::durable::error::StartError;
use crate::durable::settings::StoreSettings;
#[cfg(feature = "postgres")]
use crate::one_line::OneLine;

/// Where the tables are.
#[derive(Clone)]
pub(crate) enum Address {
    #[cfg(feature = "sqlite")]
    Sqlite(std::path::PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::postgres::PgConnectOptions>),
    /// What was given for one of PostgreSQL is none.
    #[cfg(feature = "postgres")]
    Invalid(Arc<sqlx::Error>),
}

/// Without the password, which the options of sqlx would show.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Address {
    pub(super) fn describe(&self) -> String {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => format!("SQLite ({})", path.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(options) => {
                let host = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => options.get_host().to_owned(),
                };
                let port = match options.get_port() {
                    5432 => String::new(),
                    port => format!(":{port}"),
                };
                let database = options.get_database();
                let database = database.unwrap_or_else(|| options.get_username());
                format!("PostgreSQL ({host}{port}/{database})")
            }
            #[cfg(feature = "postgres")]
            Self::Invalid(_) => "PostgreSQL".to_owned(),
        }
    }

    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        Arc::new(River::new(self, settings.clone()))
    }

    /// Returns the SQL that makes the tables. `Err` says why there is none.
    pub(crate) fn migration_sql(
        &self,
        settings: &StoreSettings,
    ) -> Result<Vec<MigrationSql>, StartError> {
        if let Some(problem) = self.problem(settings) {
            return Err(StartError::Unreachable {
                store: self.describe(),
                error: Arc::from(crate::task::BoxError::from(problem)),
            });
        }
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => migrations::sqlite(),
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => migrations::postgres(&postgres::schema_name(settings)),
            #[cfg(feature = "postgres")]
            Self::Invalid(_) => Vec::new(),
        })
    }

    /// Returns what cannot be, whatever is at the address.
    pub(crate) fn problem(&self, settings: &StoreSettings) -> Option<String> {
        let _ = settings;
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => {
                if path.as_os_str().is_empty() {
                    return Some("`Sqlite::file(\"\")` names no file".to_owned());
                }
                let is_memory = path.as_os_str() == ":memory:";
                is_memory.then(|| {
                    "`Sqlite::file(\":memory:\")` would be a file of that name: the store for tests is `testing::Memory`"
                        .to_owned()
                })
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => postgres::problem(settings),
            #[cfg(feature = "postgres")]
            Self::Invalid(error) => {
                let error = crate::task::Chain(&**error);
                Some(format!(
                    "what was given to `Postgres::url(..)` is no URL of PostgreSQL, as \
                     `postgres://user:password@host/database` is: {}",
                    OneLine(error)
                ))
            }
        }
    }
}
