use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::stored_tasks::known;
use super::{LookError, OpenStore};

/// A queue of the store, for all of its workers. From [`Background::queue`](crate::Background::queue).
///
/// ```no_run
/// # async fn example(background: bg_runtime::Background) -> Result<(), Box<dyn std::error::Error>> {
/// background.queue("reports").pause().await?;
/// // .. the database behind it is being moved ..
/// background.queue("reports").resume().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "does nothing until it is asked something"]
pub struct StoredQueue {
    store: Option<Arc<OpenStore>>,
    name: String,
}

impl StoredQueue {
    pub(crate) fn new(store: Option<Arc<OpenStore>>, name: String) -> Self {
        Self { store, name }
    }

    /// Has no worker take a task of this queue any more. Tasks that run go on, and new ones are stored. Lasts until
    /// [`resume`](Self::resume), whichever processes end meanwhile.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn pause(&self) -> Result<(), LookError> {
        self.set_paused(true).await
    }

    /// Has workers take tasks of this queue again.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn resume(&self) -> Result<(), LookError> {
        self.set_paused(false).await
    }

    /// Returns for how long the oldest task of this queue has been due and not taken. `None` if there is none.
    ///
    /// # Errors
    ///
    /// If the store cannot be reached, or refuses.
    pub async fn oldest(&self) -> Result<Option<Duration>, LookError> {
        let store = known(self.store.as_ref())?;
        let oldest = store.ask(store.engine().oldest()).await?;
        let own = oldest.into_iter().find(|(queue, _)| *queue == self.name);
        Ok(own.map(|(_, age)| age))
    }

    async fn set_paused(&self, paused: bool) -> Result<(), LookError> {
        let store = known(self.store.as_ref())?;
        store
            .ask(store.engine().set_paused(self.name.clone(), paused))
            .await
    }
}

impl fmt::Debug for StoredQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredQueue")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
