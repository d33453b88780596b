//! The servers of one round, on a thread and a runtime of their own, from the first term to the moment
//! when nothing of them is left.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::Duration,
};

use axum::serve::Listener;
use bg_runtime::{Background, ShutdownReport, Stats, TaskFailure};
use tests::{
    Serving, Timeline, eventually,
    foreign::serve_connections,
    recorded_io::{RecordedListener, Recorder},
    within,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

use crate::{
    app::{App, Watch},
    ledger::Ledger,
    plan::{RoundPlan, ServerPlan, TaskPlan},
};

/// The servers of one round, and what they share.
pub(crate) struct Servers {
    pub(crate) background: Background,
    terms: mpsc::Sender<oneshot::Sender<Running>>,
    over: oneshot::Receiver<()>,
    thread: JoinHandle<usize>,
}

/// A server, as clients and the ledger know it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) serving: Serving,
    pub(crate) recorder: Recorder,
}

/// The servers of one term.
pub(crate) struct Running {
    pub(crate) targets: Vec<Target>,
    stop: watch::Sender<bool>,
    over: oneshot::Receiver<()>,
}

impl Servers {
    pub(crate) async fn start(
        ledger: &Ledger,
        timeline: &Timeline,
        handles: mpsc::UnboundedSender<Watch>,
    ) -> Self {
        let (started, start) = oneshot::channel();
        let (terms, asked) = mpsc::channel(1);
        let (ended, over) = oneshot::channel();
        let (ledger, timeline) = (ledger.clone(), timeline.clone());
        let thread = thread::spawn(move || {
            let runtime = ledger.round().flavour.runtime();
            runtime.block_on(async move {
                let background = background(&ledger);
                let _ = started.send(background.clone());
                let app = App {
                    ledger: ledger.clone(),
                    background,
                    handles,
                };
                serve_terms(app, &timeline, asked).await;
            });
            let _ = ended.send(());
            // Blocking tasks that were told to stop do so within a moment; the rest of the runtime
            // goes with its connections.
            let alive = runtime.metrics().num_alive_tasks();
            runtime.shutdown_timeout(Duration::from_secs(5));
            alive
        });
        let background = within("the round's start", start).await.expect("started");
        Self {
            background,
            terms,
            over,
            thread,
        }
    }

    /// Starts the servers of the next term.
    pub(crate) async fn next_term(&self) -> Running {
        let (started, term) = oneshot::channel();
        let asked = self.terms.send(started).await;
        asked.expect("a term is left");
        within("the start of a term", term).await.expect("started")
    }

    /// Waits until nothing of the servers is left. Returns the last counts.
    pub(crate) async fn end(self, ledger: &Ledger) -> Stats {
        let Self {
            background,
            over,
            thread,
            ..
        } = self;
        within("the end of the servers", over).await.expect("ended");
        let joined = tokio::task::spawn_blocking(move || thread.join());
        let joined = within("the end of the servers' runtime", joined).await;
        joined.expect("joined").expect("the servers' thread");
        eventually("no task is under way", || ledger.alive() == 0).await;
        background.stats()
    }
}

impl Running {
    /// Lets the servers end.
    pub(crate) async fn stop(self, app: &App, last_tasks: &[TaskPlan]) {
        for task in last_tasks {
            app.spawn(task, None);
        }
        app.ledger.stop_begins();
        self.stop.send_replace(true);
        within("the end of the term", self.over)
            .await
            .expect("it ended");
    }
}

fn background(ledger: &Ledger) -> Background {
    let RoundPlan {
        isolated,
        max_concurrent,
        max_pending,
        max_blocking,
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
    if let Some(tasks) = max_blocking {
        builder = builder.max_blocking(tasks);
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

/// Serves one term after the other.
async fn serve_terms(
    app: App,
    timeline: &Timeline,
    mut asked: mpsc::Receiver<oneshot::Sender<Running>>,
) {
    let ledger = app.ledger.clone();
    for term in &ledger.round().terms {
        let started = asked.recv().await.expect("every term is asked for");
        let (stop, stopped) = watch::channel(false);
        let (ended, over) = oneshot::channel();
        let (mut targets, mut servers) = (Vec::new(), JoinSet::new());
        ledger.term_begins();
        for plan in &term.servers {
            let recorder = Recorder::new(timeline.clone());
            let listener = RecordedListener::bind(recorder.clone()).await;
            let listener = listener.expect("a port");
            targets.push(Target {
                address: listener.local_addr().expect("an address"),
                serving: plan.serving,
                recorder,
            });
            servers.spawn(serve(app.clone(), plan.clone(), listener, stopped.clone()));
        }
        let running = Running {
            targets,
            stop,
            over,
        };
        let _ = started.send(running);
        // Of several servers that drain the tasks, only the last does.
        let mut drain = None;
        while let Some(ended) = servers.join_next().await {
            drain = ended.expect("servers do not panic").or(drain);
        }
        if let Some(report) = drain {
            ledger.drained(&report);
        }
        let _ = ended.send(());
    }
    if ledger.round().shuts_down {
        let report = app.background.shutdown().await;
        ledger.drained(&report);
    }
}

/// Runs one server. Returns the report that it ended with, if it has one.
async fn serve(
    app: App,
    plan: ServerPlan,
    listener: RecordedListener,
    mut stopped: watch::Receiver<bool>,
) -> Option<ShutdownReport> {
    let background = app.background.clone();
    let app = app.routes();
    let stopped = async move {
        // An error if the round was given up.
        let _ = stopped.wait_for(|stopped| *stopped).await;
        tokio::time::sleep(plan.stop_wait).await;
    };
    match plan.serving {
        Serving::Background => {
            let server = background.serve(listener, app);
            let report = server.with_graceful_shutdown(stopped).await;
            Some(report.expect("served"))
        }
        Serving::DetachedBackground => {
            let server = background.serve(listener, app).detach();
            let report = server.with_graceful_shutdown(stopped).await;
            Some(report.expect("served"))
        }
        Serving::Connection => {
            serve_connections(background, listener, app, stopped).await;
            None
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
            None
        }
    }
}
