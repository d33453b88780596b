//! Listening to what processes tell each other.

use std::sync::{Arc, Weak};

use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

use super::StoreEvent;
use crate::durable::error::StoreError;

/// Those of this process who listen: one ear hears for all of them, whose connection and looks would otherwise be as
/// many as they are.
#[derive(Default)]
pub(super) struct Ears(Arc<tokio::sync::Mutex<Weak<SharedEar>>>);

/// Ends with the last who listens, or with its runtime, which those who listen on another one are told of.
struct SharedEar {
    heard: broadcast::Receiver<StoreEvent>,
    ear: AbortOnDropHandle<()>,
}

/// How many events may be on their way to whoever listens. Who is slower is told of a gap.
const WAITING: usize = 1024;

type Events = BoxStream<'static, StoreEvent>;

impl Ears {
    /// Listens, from when it returns. `alone` listens where nobody does yet.
    pub(super) async fn listen(
        &self,
        alone: impl Future<Output = Result<Events, StoreError>> + Send + 'static,
    ) -> Result<Events, StoreError> {
        // By itself, because others wait for the same, and the caller may be polled no more.
        let shared = tokio::spawn(share(self.0.clone(), alone)).await;
        let shared = shared.map_err(StoreError::refused)??;
        let listener = (shared.heard.resubscribe(), shared);
        let events = stream::unfold(listener, async |(mut heard, shared)| {
            let event = match heard.recv().await {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(_)) => StoreEvent::Gap,
                Err(broadcast::error::RecvError::Closed) => return None,
            };
            Some((event, (heard, shared)))
        });
        Ok(events.boxed())
    }
}

/// Returns the ear that there is, or a new one.
async fn share(
    ears: Arc<tokio::sync::Mutex<Weak<SharedEar>>>,
    alone: impl Future<Output = Result<Events, StoreError>>,
) -> Result<Arc<SharedEar>, StoreError> {
    let ears = &mut *ears.lock().await;
    if let Some(shared) = ears.upgrade().filter(|shared| !shared.ear.is_finished()) {
        return Ok(shared);
    }
    let mut events = alone.await?;
    let (tell, heard) = broadcast::channel(WAITING);
    let ear = tokio::spawn(async move {
        while let Some(event) = events.next().await {
            // Whoever has the ear has a receiver.
            let _ = tell.send(event);
        }
    });
    let shared = Arc::new(SharedEar {
        heard,
        ear: AbortOnDropHandle::new(ear),
    });
    *ears = Arc::downgrade(&shared);
    Ok(shared)
}
