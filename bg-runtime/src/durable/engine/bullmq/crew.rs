//! One queue: a worker of BullMQ, and a new one where its connection is lost.
//!
//! BullMQ's client makes lost connections anew, but does not notice one that dies without a word, so each error that is no
//! answer of the server is a reason for a new worker. The one before gets nothing more, and ends what it runs.

use std::sync::Arc;
use std::time::Duration;

use ::bullmq::worker::WorkerEvent;
use ::bullmq::{Worker, WorkerOptions};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fields::JobKey;
use super::run::Runs;
use crate::log_target::RUNTIME;

/// How long BullMQ sleeps at most before it looks by itself.
const DRAIN: Duration = Duration::from_secs(1);

/// The shortest time between two workers.
const PAUSE: Duration = Duration::from_secs(1);

/// How soon a worker that ends is woken, which sleeps until something happens.
const NUDGE: Duration = Duration::from_millis(20);

pub(super) struct Crew {
    pub(super) runs: Arc<Runs>,
    pub(super) queue: Arc<str>,
    pub(super) at_once: usize,
    /// The name of this worker.
    pub(super) name: String,
}

impl Crew {
    /// Works until `stop` is cancelled and everything that ran is recorded.
    pub(super) async fn work(&self, stop: &CancellationToken) {
        let mut relieved = FuturesUnordered::new();
        let mut is_lost = false;
        loop {
            let Some(opened) = stop.run_until_cancelled(self.open()).await else {
                break;
            };
            let begun = Instant::now();
            let why = match opened {
                Ok(worker) => {
                    let why = tokio::select! {
                        () = stop.cancelled() => None,
                        why = self.watch(&worker) => Some(why),
                        never = all(&mut relieved) => match never {},
                    };
                    relieved.push(self.close(worker, stop));
                    why
                }
                Err(error) => Some(error.to_string()),
            };
            let Some(why) = why else { break };
            let is_first = !std::mem::replace(&mut is_lost, begun.elapsed() < PAUSE);
            if is_first {
                tracing::warn!(
                    target: RUNTIME,
                    queue = &*self.queue,
                    "a connection of the worker is lost, and made anew: {why}"
                );
            }
            let next = tokio::time::sleep_until(begun + PAUSE);
            tokio::select! {
                () = stop.cancelled() => break,
                () = next => {}
                never = all(&mut relieved) => match never {},
            }
        }
        while relieved.next().await.is_some() {}
        while self.runs.shared.unconfirmed.has_any_of(&self.queue) {
            tokio::time::sleep(NUDGE).await;
        }
    }

    async fn open(&self) -> Result<Worker, ::bullmq::Error> {
        let shared = &self.runs.shared;
        let options = WorkerOptions::new()
            .connection(shared.address.options())
            .prefix(&shared.prefix)
            .name(&self.name)
            .concurrency(self.at_once)
            .lock_duration(shared.lease)
            .drain_delay(DRAIN)
            // The heartbeat does that, for all queues at once, and notices locks that are lost.
            .skip_lock_renewal()
            .skip_stalled_check();
        let (runs, queue) = (self.runs.clone(), self.queue.clone());
        let processor = move |job, _| {
            let (runs, queue) = (runs.clone(), queue.clone());
            async move { runs.run(&queue, job).await }
        };
        Worker::with_options(&self.queue, processor, options).await
    }

    /// Hears what BullMQ records. Returns why its connection is lost.
    async fn watch(&self, worker: &Worker) -> String {
        while let Some(event) = worker.next_event().await {
            if let Some(error) = self.note(event) {
                return error;
            }
        }
        "it has ended".to_owned()
    }

    fn note(&self, event: WorkerEvent) -> Option<String> {
        match event {
            WorkerEvent::Completed { job_id, .. } => {
                let job = JobKey {
                    queue: self.queue.clone(),
                    id: job_id,
                };
                self.runs.confirmed(&job);
                None
            }
            // An answer of a script, such as that a lock is another worker's by now.
            WorkerEvent::Error(error) if error.contains("script error") => {
                tracing::debug!(target: RUNTIME, queue = &*self.queue, "{error}");
                None
            }
            WorkerEvent::Error(error) => Some(error),
            _ => None,
        }
    }

    /// Lets a worker end what it runs.
    async fn close(&self, worker: Worker, stop: &CancellationToken) {
        let held = &self.runs.shared.held;
        worker.pause();
        let closed = worker.close(u64::from(u32::MAX));
        let hear = async {
            while let Some(event) = worker.next_event().await {
                let _ = self.note(event);
            }
            std::future::pending().await
        };
        let nudge = async {
            let mut wake = ::redis::cmd("ZADD");
            wake.arg(format!("{}:{}:marker", self.runs.shared.prefix, self.queue))
                .arg(&["0", "0"]);
            let begun = Instant::now();
            loop {
                // Each wakes one worker, which may be another. From then on it only waits for what it runs.
                let often = begun.elapsed() < DRAIN;
                tokio::time::sleep(if often { NUDGE } else { DRAIN }).await;
                let _: Result<i64, _> = self.runs.shared.link.command(&wake).await;
            }
        };
        tokio::select! {
            closed = closed => {
                if let Err(error) = closed {
                    tracing::debug!(target: RUNTIME, queue = &*self.queue, %error, "a worker has ended");
                }
            }
            never = hear => match never {},
            never = nudge => never,
            () = held.nothing_left(|job, _| job.queue == self.queue, stop) => {}
        }
        while let Some(Some(event)) = futures_util::FutureExt::now_or_never(worker.next_event()) {
            let _ = self.note(event);
        }
    }
}

async fn all(
    relieved: &mut FuturesUnordered<impl Future<Output = ()>>,
) -> std::convert::Infallible {
    while relieved.next().await.is_some() {}
    std::future::pending().await
}
