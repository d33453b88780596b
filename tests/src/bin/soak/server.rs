//! The server of one round, on a thread and a runtime of its own, from its start to the moment when
//! nothing of it is left.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::serve::Listener;
use bg_runtime::{Background, Stats, TaskFailure};
use tests::{
    Serving, Timeline, eventually,
    recorded_io::{RecordedListener, Recorder},
    within,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    app::{App, Watch},
    ledger::Ledger,
    plan::RoundPlan,
};

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) recorder: Recorder,
    pub(crate) background: Background,
    stop: oneshot::Sender<()>,
    over: oneshot::Receiver<()>,
    thread: JoinHandle<usize>,
}

impl Server {
    pub(crate) async fn start(
        ledger: &Ledger,
        timeline: &Timeline,
        handles: mpsc::UnboundedSender<Watch>,
    ) -> Self {
        let recorder = Recorder::new(timeline.clone());
        let (started, start) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let (ended, over) = oneshot::channel();
        let (ledger, io) = (ledger.clone(), recorder.clone());
        let thread = thread::spawn(move || {
            let runtime = ledger.round().setup.flavour.runtime();
            runtime.block_on(async move {
                let background = background(&ledger);
                let listener = RecordedListener::bind(io).await.expect("a port");
                let address = listener.local_addr().expect("an address");
                let _ = started.send((address, background.clone()));
                serve(&ledger, background, listener, handles, stopped).await;
            });
            let _ = ended.send(());
            // Blocking tasks that were told to stop do so within a moment; the rest of the runtime
            // goes with its connections.
            let alive = runtime.metrics().num_alive_tasks();
            runtime.shutdown_timeout(Duration::from_secs(5));
            alive
        });
        let (address, background) = within("the server's start", start).await.expect("started");
        Self {
            address,
            recorder,
            background,
            stop,
            over,
            thread,
        }
    }

    /// Lets the server end. Returns the last counts.
    pub(crate) async fn stop(self, app: App) -> (Recorder, Stats) {
        let Self {
            recorder,
            background,
            stop,
            over,
            thread,
            ..
        } = self;
        let ledger = app.ledger.clone();
        for task in &ledger.round().last_tasks {
            app.spawn(task, None);
        }
        drop(app);
        ledger.stop_begins();
        let _ = stop.send(());
        within("the shutdown", over).await.expect("it ended");
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let joined = within("the end of the server's runtime", joined).await;
        joined.expect("joined").expect("the server's thread");
        eventually("no task is under way", || ledger.alive() == 0).await;
        (recorder, background.stats())
    }
}

fn background(ledger: &Ledger) -> Background {
    let RoundPlan {
        isolated,
        max_concurrent,
        max_pending,
        async_hook,
        drain_timeout,
        ..
    } = *ledger.round();
    let mut builder = Background::builder().drain_timeout(drain_timeout);
    if let Some(threads) = isolated {
        builder = builder.isolated(threads);
    }
    if let Some(lists) = max_concurrent {
        builder = builder.max_concurrent(lists);
    }
    if let Some((tasks, overflow)) = max_pending {
        builder = builder.max_pending(tasks, overflow);
    }
    let told = ledger.clone();
    let mut builder = builder.on_error(move |failure: &TaskFailure| told.told(failure));
    if async_hook {
        let ledger = ledger.clone();
        builder = builder.on_error_async(move |failure: TaskFailure| {
            let ledger = ledger.clone();
            async move {
                tokio::task::yield_now().await;
                ledger.told_async(&failure);
            }
        });
    }
    builder.build().expect("nothing to refuse")
}

async fn serve(
    ledger: &Ledger,
    background: Background,
    listener: RecordedListener,
    handles: mpsc::UnboundedSender<Watch>,
    stopped: oneshot::Receiver<()>,
) {
    let app = App {
        ledger: ledger.clone(),
        background: background.clone(),
        handles,
    };
    let app = app.routes();
    let stopped = async move {
        let _ = stopped.await;
    };
    let report = match ledger.round().setup.serving {
        Serving::Background => {
            let server = background.serve(listener, app);
            server
                .with_graceful_shutdown(stopped)
                .await
                .expect("served")
        }
        Serving::DetachedBackground => {
            let server = background.serve(listener, app).detach();
            server
                .with_graceful_shutdown(stopped)
                .await
                .expect("served")
        }
        serving @ (Serving::Layer | Serving::DetachedLayer | Serving::PlainAxum) => {
            let app = match serving {
                Serving::DetachedLayer => app.layer(background.layer().detach()),
                _ => app.layer(background.layer()),
            };
            let server = axum::serve(listener, app).with_graceful_shutdown(stopped);
            let served = tokio::time::timeout(Duration::from_secs(10), server.into_future()).await;
            if let Ok(served) = served {
                served.expect("served");
            }
            background.shutdown().await
        }
    };
    ledger.stop_is_over(&report);
}
