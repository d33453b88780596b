//! Working on stored tasks.

use axum::Router;

use super::Background;
use crate::durable::{StartError, StoredQueue, StoredTasks};
use crate::service::{Work, health};

impl Background {
    /// Returns the stored tasks: to look at them, to wait for one, to cancel, retry or delete them, from any process
    /// that has the store.
    pub fn stored(&self) -> StoredTasks {
        StoredTasks::new(self.runner.store().cloned())
    }

    /// Returns routes by which an orchestrator asks whether this process works, for servers and workers:
    /// `/livez` answers 200 while the process does, and `/readyz` 200 while it can do its work: 503 from the begin of
    /// the shutdown, and while the store does not answer.
    ///
    /// ```no_run
    /// # async fn example(background: bg_runtime::Background) -> Result<(), Box<dyn std::error::Error>> {
    /// // A worker, and beside it a port for its orchestrator.
    /// let port = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
    /// let health: axum::Router = background.health();
    /// let serving = background.serve(port, health);
    /// let (served, worked) = tokio::join!(serving, background.work());
    /// # served?; worked?; Ok(())
    /// # }
    /// ```
    pub fn health<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        health(self.runner.clone())
    }

    /// Returns a queue of the store, to pause and resume it for all workers.
    pub fn queue(&self, name: impl Into<String>) -> StoredQueue {
        StoredQueue::new(self.runner.store().cloned(), name.into())
    }

    /// Takes durable tasks from the store and runs them, until Ctrl-C or SIGTERM; then takes no more, drains what runs,
    /// gives the rest back, and returns the report. A second signal ends the wait early.
    ///
    /// This is a worker process. [`serve`](Self::serve) works as well, unless its store is
    /// [`enqueue_only`](crate::durable::Store::enqueue_only); any number of both may share a store.
    ///
    /// A shutdown waits for the runs up to the [`drain_timeout`](crate::BackgroundBuilder::drain_timeout), and then
    /// asks them to stop through [`TaskContext::cancelled`](crate::TaskContext::cancelled). Those that still run a
    /// second later go back to the store, where they wait for another worker, and have not used up an attempt:
    /// [`ShutdownReport::given_back`](crate::ShutdownReport::given_back) counts them.
    ///
    /// To Ctrl-C and SIGTERM applies what [`serve`](Self::serve) says.
    pub fn work(&self) -> Work {
        Work::new(self.runner.clone())
    }

    /// Connects to the store, brings its tables up to date, and begins to take tasks from it, unless it is
    /// [`enqueue_only`](crate::durable::Store::enqueue_only). For use with another server than
    /// [`serve`](Self::serve), which does this itself. [`shutdown`](Self::shutdown) ends it.
    ///
    /// # Errors
    ///
    /// If there is no store, or it is not ready.
    pub async fn start(&self) -> Result<(), StartError> {
        if self.runner.store().is_none() {
            return Err(StartError::NoStore);
        }
        // Opens the books again if a drain has closed them.
        let serving = self.runner.begin_serving().await;
        drop(serving.map_err(|_| StartError::ShutDown)?);
        self.runner.begin_working().await
    }
}
