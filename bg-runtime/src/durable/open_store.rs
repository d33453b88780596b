//! The store as requests and workers use it: an engine, and what holds for every engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engine::{Engine, StoreEvent, StoreTransaction};
use super::error::{StartError, StoreError};
use super::put::put;
use super::settings::StoreSettings;
use super::{Desk, EnqueueError, Kept, LookError, Stored};
use crate::secret_key::SecretKeys;
use crate::sync::Mutex;
use crate::task::{BoxTask, RequestInfo};

/// How long after it could not be reached a store is not asked again.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct OpenStore {
    engine: Arc<dyn Engine>,
    settings: StoreSettings,
    /// When it could not be reached, and why. One caller at a time is let through to try again.
    outage: Mutex<Option<Outage>>,
}

struct Outage {
    since: Instant,
    error: Arc<dyn std::error::Error + Send + Sync>,
}

impl OpenStore {
    pub(super) fn new(engine: Arc<dyn Engine>, settings: StoreSettings) -> Self {
        Self {
            engine,
            settings,
            outage: Mutex::new(None),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.engine
    }

    pub(crate) fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    pub(crate) fn secret_keys(&self) -> &SecretKeys {
        &self.settings.secret_keys
    }

    pub(crate) async fn start(&self) -> Result<(), StartError> {
        self.engine.start().await
    }

    pub(crate) fn describe(&self) -> String {
        self.engine.describe()
    }

    /// Returns what is to be stored of a task.
    pub(crate) fn put(
        &self,
        task: &BoxTask,
        request: Option<&RequestInfo>,
    ) -> Result<Stored, EnqueueError> {
        put(task, request, &self.settings)
    }

    /// Stores all of them, or none. While the store is down, fails at once.
    pub(crate) async fn store(&self, batch: Vec<Stored>) -> Result<Vec<Kept>, StoreError> {
        self.try_it()?;
        let limit = self.settings.store_timeout;
        let stored = tokio::time::timeout(limit, self.engine.store(batch.into())).await;
        let stored = stored.unwrap_or(Err(StoreError::Timeout(limit)));
        self.note(&stored);
        stored
    }

    /// Stores all of them, or none, when the caller's transaction is committed.
    pub(crate) async fn store_in(
        &self,
        transaction: StoreTransaction<'_>,
        batch: Vec<Stored>,
    ) -> Result<Vec<Kept>, StoreError> {
        let limit = self.settings.store_timeout;
        let stored = self.engine.store_in(transaction, batch.into());
        let stored = tokio::time::timeout(limit, stored).await;
        stored.unwrap_or(Err(StoreError::Timeout(limit)))
    }

    /// Returns an error if the store does not answer.
    pub(crate) async fn check(&self) -> Result<(), LookError> {
        self.ask(self.engine.oldest()).await.map(drop)
    }

    /// Returns what happens to stored tasks; nothing if the store does not answer, so who needs to know looks as well.
    pub(crate) async fn events(&self) -> BoxStream<'static, StoreEvent> {
        let events = self.engine.events().await;
        events.unwrap_or_else(|_| stream::empty().boxed())
    }

    /// Asks the store something, for no longer than storing may take.
    pub(crate) async fn ask<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, LookError> {
        let limit = self.settings.store_timeout;
        let answer = tokio::time::timeout(limit, answer).await;
        Ok(answer.unwrap_or(Err(StoreError::Timeout(limit)))?)
    }

    /// Returns an error if the store could not be reached a moment ago. Only one caller in [`PAUSE`] is let through.
    fn try_it(&self) -> Result<(), StoreError> {
        let outage = &mut *self.outage.lock();
        let Some(outage) = outage else { return Ok(()) };
        if outage.since.elapsed() < PAUSE {
            return Err(StoreError::AskedLately(outage.error.clone()));
        }
        outage.since = Instant::now();
        Ok(())
    }

    fn note<T>(&self, result: &Result<T, StoreError>) {
        let outage = match result {
            Err(StoreError::Unreachable(error)) => Some(Outage {
                since: Instant::now(),
                error: error.clone(),
            }),
            // Of a store that takes long nothing is known.
            Err(StoreError::Timeout(_)) => return,
            _ => None,
        };
        let _before = std::mem::replace(&mut *self.outage.lock(), outage);
    }

    pub(crate) async fn work(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        self.engine.work(desk, stop).await
    }

    /// Returns the queues that a worker looks at which runs tasks of these, with how many of each it runs at once.
    pub(crate) fn queues<'a>(
        &self,
        of_tasks: impl Iterator<Item = &'a str>,
    ) -> Vec<(String, usize)> {
        let all = self.settings.concurrency;
        match &self.settings.queues {
            Some(queues) => {
                let queues = queues.iter();
                let queues = queues.map(|(name, at_once)| (name.clone(), at_once.unwrap_or(all)));
                queues.collect()
            }
            None => {
                let queues: HashMap<_, _> = of_tasks.map(|queue| (queue.to_owned(), all)).collect();
                queues.into_iter().collect()
            }
        }
    }
}
