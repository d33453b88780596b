//! The heartbeat: what a worker runs is its own as long as it says so three times in a lease.
//!
//! It comes from a thread and a connection of its own, so that a worker whose threads are all blocked, or whose pool is
//! exhausted, does not count as dead.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::log_target::RUNTIME;

/// How soon a beat is tried again that has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What an engine does when it beats.
pub(super) trait Heart: Send + 'static {
    /// Returns whether there is something to beat for.
    fn is_needed(&self) -> bool;

    /// Says what is still worked on. `Err` says why it could not.
    fn beat(&mut self) -> impl Future<Output = Result<(), String>>;

    /// Gives the connection up, after a beat that failed or was dropped.
    fn reconnect(&mut self) -> impl Future<Output = ()>;

    fn close(self) -> impl Future<Output = ()>;
}

/// Beats until it is dropped.
pub(super) struct Beat {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Beat {
    pub(super) fn start(lease: Duration, heart: impl Heart) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let every = (lease / 3).max(Duration::from_millis(1));
        let thread = std::thread::Builder::new().name("bg-heartbeat".to_owned());
        let (tell, made) = std::sync::mpsc::sync_channel(1);
        let thread = thread.spawn(move || {
            // Made here, because it may not be dropped where another one runs.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(run(heart, every, stopped));
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })?;
        made.recv().map_err(io::Error::other)??;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.stop.cancel();
        // It ends by itself within a query, and nothing of it is waited for.
        drop(self.thread.take());
    }
}

async fn run(mut heart: impl Heart, every: Duration, stop: CancellationToken) {
    let mut is_lost = false;
    let mut wait = every;
    while stop
        .run_until_cancelled(tokio::time::sleep(wait))
        .await
        .is_some()
    {
        if !heart.is_needed() {
            wait = every;
            continue;
        }
        let why = match timeout(every, heart.beat()).await {
            Ok(Ok(())) => {
                if std::mem::take(&mut is_lost) {
                    tracing::info!(
                        target: RUNTIME,
                        "the store is reached again: what runs here is kept"
                    );
                }
                wait = every;
                continue;
            }
            Ok(Err(why)) => why,
            Err(_) => format!("no answer within {every:?}"),
        };
        heart.reconnect().await;
        wait = every.min(AGAIN);
        if !std::mem::replace(&mut is_lost, true) {
            tracing::warn!(
                target: RUNTIME,
                "the store is not reached, and what runs here may be given to other workers when it is back: {why}"
            );
        }
    }
    heart.close().await;
}
