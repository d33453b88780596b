use std::sync::Arc;

use super::{Engine, Memory};
use crate::durable::MigrationSql;
use crate::durable::error::StartError;
use crate::durable::settings::StoreSettings;

/// Which engine, and where it keeps its tasks.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Memory(Memory),
    /// In PostgreSQL or SQLite.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    River(super::Address),
    /// In Redis.
    #[cfg(feature = "redis")]
    BullMq(super::RedisAddress),
}

impl Place {
    /// Returns what cannot be, whatever is there.
    pub(crate) fn problem(&self, settings: &StoreSettings) -> Option<String> {
        let _ = settings;
        match self {
            Self::Memory(_) => None,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Self::River(address) => address.problem(settings),
            #[cfg(feature = "redis")]
            Self::BullMq(address) => address.problem(settings),
        }
    }

    /// Returns the SQL that makes the tables; nothing where there are none.
    pub(crate) fn migration_sql(
        &self,
        settings: &StoreSettings,
    ) -> Result<Vec<MigrationSql>, StartError> {
        let _ = settings;
        match self {
            Self::Memory(_) => Ok(Vec::new()),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Self::River(address) => address.migration_sql(settings),
            #[cfg(feature = "redis")]
            Self::BullMq(_) => Ok(Vec::new()),
        }
    }

    /// Connects to nothing yet.
    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        match self {
            Self::Memory(memory) => memory.open(settings),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Self::River(address) => address.open(settings),
            #[cfg(feature = "redis")]
            Self::BullMq(address) => address.open(settings),
        }
    }
}
