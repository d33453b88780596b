//! Hearing that stored tasks have ended. An event may be missed, so whoever waits looks now and then as well.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};

use super::OpenStore;
use super::engine::StoreEvent;
use crate::task::TaskId;

pub(crate) struct Ends {
    store: Arc<OpenStore>,
    events: BoxStream<'static, StoreEvent>,
}

impl Ends {
    /// Listens, from when this returns.
    pub(crate) async fn of(store: Arc<OpenStore>) -> Self {
        let events = store.events().await;
        Self { store, events }
    }

    /// Waits until a task has ended that concerns the caller, or may have and the event was missed, or the time is up.
    pub(crate) async fn wait(&mut self, at_most: Duration, concerns: impl Fn(TaskId) -> bool) {
        let mut time = pin!(tokio::time::sleep(at_most));
        loop {
            tokio::select! {
                () = &mut time => return,
                event = self.events.next() => match event {
                    Some(StoreEvent::Progress(..)) => {}
                    Some(StoreEvent::Ended(id)) if !concerns(id) => {}
                    Some(StoreEvent::Ended(_) | StoreEvent::Gap) => return,
                    None => {
                        time.as_mut().await;
                        self.events = self.store.events().await;
                        return;
                    }
                },
            }
        }
    }

    /// Forgets what has been heard and not been waited for.
    pub(crate) fn forget(&mut self) {
        while let Some(Some(_)) = self.events.next().now_or_never() {}
    }
}
