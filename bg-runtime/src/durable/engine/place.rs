use std::sync::Arc;

use super::{Engine, Memory};
use crate::durable::settings::StoreSettings;

/// Which engine, and where it keeps its tasks.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Memory(Memory),
    /// In PostgreSQL or SQLite.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    River(super::Address),
}

impl Place {
    /// Connects to nothing yet.
    pub(crate) fn open(self, settings: &StoreSettings) -> Arc<dyn Engine> {
        match self {
            Self::Memory(memory) => memory.open(settings),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Self::River(address) => address.open(settings),
        }
    }
}
