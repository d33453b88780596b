//! Placeholder while the engine is being written.
use std::sync::Arc;

use super::Engine;
use crate::durable::settings::StoreSettings;

#[derive(Debug, Clone, Default)]
pub struct Memory;

impl Memory {
    pub(crate) fn open(self, _: &StoreSettings) -> Arc<dyn Engine> {
        unreachable!()
    }
}
