//! One round, from its start to the judgement.

use std::{ops::Range, sync::Arc, time::Duration};

use bg_runtime::{Background, Stats};
use futures_util::{StreamExt, stream};
use tests::{Timeline, timeline::LIMIT};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};

use crate::{
    app::{App, Watch},
    clients,
    judge::{self, Broken, Counts, Violation},
    ledger::Ledger,
    plan::{ConnectionPlan, RoundPlan},
    server::{Servers, Target},
};

/// Plays the round, and judges it.
pub(crate) async fn run(plan: RoundPlan) -> (Counts, Vec<Violation>) {
    let timeline = Timeline::new();
    let ledger = Ledger::new(plan, timeline.clone());
    let plan = ledger.round();
    let (handles, watches) = mpsc::unbounded_channel();
    let servers = Servers::start(&ledger, &timeline, handles.clone()).await;
    let app = App {
        ledger: ledger.clone(),
        background: servers.background.clone(),
        handles,
    };
    let watching = tokio::spawn(watch(ledger.clone(), watches));
    let sampling = Sampling::start(servers.background.clone(), plan.pending_limit());

    let mut violations = Vec::new();
    for term in &plan.terms {
        let running = servers.next_term().await;
        let targets: Arc<[Target]> = running.targets.as_slice().into();
        let begun = term.connections.start..term.stop_before;
        violations.extend(connect(&ledger, &targets, begun).await);
        // The rest comes while the servers stop.
        let rest = term.stop_before..term.connections.end;
        let rest = {
            let (ledger, targets) = (ledger.clone(), targets.clone());
            tokio::spawn(async move { connect(&ledger, &targets, rest).await })
        };
        tokio::task::yield_now().await;
        running.stop(&app, &term.last_tasks).await;
        violations.extend(rest.await.expect("clients do not panic"));
    }
    drop(app);
    let stats = servers.end(&ledger).await;
    violations.extend(sampling.stop().await);

    let settled = async {
        while !judge::is_settled(&ledger.history()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The judge finds what has not come by then.
    let _ = timeout(LIMIT, settled).await;
    let _ = timeout(LIMIT, watching).await;
    let mut history = ledger.history();
    history.stats = stats;
    let (counts, judged) = judge::judge(&history);
    violations.extend(judged);
    violations.extend(left_over(&ledger).await);
    (counts, violations)
}

/// Makes these connections, some of them at once. Returns what is wrong with them.
async fn connect(ledger: &Ledger, targets: &Arc<[Target]>, numbers: Range<u64>) -> Vec<Violation> {
    let connections = stream::iter(numbers).map(|number| {
        let (ledger, targets) = (ledger.clone(), targets.clone());
        async move {
            let plan = ConnectionPlan::draw(ledger.round(), number);
            let wrong = clients::connection(&ledger, &targets, &plan).await.err();
            wrong.map(|what| Violation::new(Broken::Served, what))
        }
    });
    connections
        .buffer_unordered(ledger.round().at_once)
        .filter_map(async |wrong| wrong)
        .collect()
        .await
}

/// Waits for every spawned task, and aborts those that are to be aborted.
async fn watch(ledger: Ledger, mut watches: mpsc::UnboundedReceiver<Watch>) {
    let mut waiting = tokio::task::JoinSet::new();
    while let Some(watch) = watches.recv().await {
        let ledger = ledger.clone();
        waiting.spawn(async move {
            let Watch {
                line,
                mut handle,
                abort_after,
            } = watch;
            let outcome = match abort_after {
                None => handle.await,
                Some(time) => match timeout(time, &mut handle).await {
                    Ok(outcome) => outcome,
                    Err(_) => {
                        ledger.abort_asked(line);
                        handle.abort();
                        handle.await
                    }
                },
            };
            ledger.concluded(line, &outcome);
        });
    }
    waiting.join_all().await;
}

/// Finds what still holds the ledger when only this round should: all tasks, hooks and handlers
/// have to be gone.
async fn left_over(ledger: &Ledger) -> Option<Violation> {
    let gone = async {
        while ledger.holders() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LIMIT, gone).await.err().map(|_| {
        let holders = ledger.holders() - 1;
        let what = format!("{:?}: {holders} still hold the ledger", ledger.round());
        Violation::new(Broken::Alive, what)
    })
}

/// Looks at `stats()` again and again.
struct Sampling {
    stop: Arc<tokio::sync::Notify>,
    task: JoinHandle<Option<Violation>>,
}

impl Sampling {
    fn start(background: Background, pending_limit: Option<usize>) -> Self {
        let stop = Arc::new(tokio::sync::Notify::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let mut before = Stats::default();
            loop {
                for _ in 0..20 {
                    let now = background.stats();
                    let violation = judge::judge_sample(&before, &now, pending_limit);
                    if violation.is_some() {
                        return violation;
                    }
                    before = now;
                }
                let pause = Duration::from_millis(1);
                if timeout(pause, stopped.notified()).await.is_ok() {
                    return None;
                }
            }
        });
        Self { stop, task }
    }

    async fn stop(self) -> Option<Violation> {
        self.stop.notify_one();
        self.task.await.expect("the sampling does not panic")
    }
}
