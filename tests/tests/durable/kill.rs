//! Servers and workers that are killed at any moment: every task that a client was promised runs, and no outcome is
//! recorded of a run that did not have it.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use bg_runtime::Background;
use bg_runtime::durable::{Store, StoredState};
use futures_util::future::join_all;
use tests::durable::{Evidence, Node, Place, post};

use crate::tasks::{KEY, Lab};

const PROGRAM: &str = env!("CARGO_BIN_EXE_node");

/// How many processes each test kills. More in the environment for a longer one.
fn kills() -> usize {
    let asked = std::env::var("BG_KILLS").ok();
    asked.map_or(100, |kills| kills.parse().expect("a number"))
}

/// Looks at the store, and runs nothing.
fn observer(place: &Place) -> Background {
    let store: Store = place.store();
    let key = bg_runtime::durable::SecretKey::new(KEY);
    let builder = Background::builder().state(Lab::new());
    let store = store.enqueue_only().secret_keys([key]);
    builder.durable(store).build().expect("nothing to refuse")
}

/// Waits until no task is unfinished.
async fn all_end(observer: &Background) {
    let begun = Instant::now();
    loop {
        let counts = observer.stored().counts().await.expect("the store answers");
        let open: u64 = counts
            .iter()
            .filter(|(state, _)| !state.is_final())
            .map(|(_, tasks)| tasks)
            .sum();
        if open == 0 {
            return;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(120),
            "unfinished: {counts:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn every_promise_is_kept_though_processes_are_killed(place: &Place) {
    let directory = tempfile::tempdir().unwrap();
    let evidence = Evidence::at(directory.path().join("evidence"));
    let start = |role| Node::start(Path::new(PROGRAM), role, place, &evidence);
    let mut server = start("serve").await;
    let mut workers = vec![start("work").await, start("work").await];
    let (mut next, mut promised) = (0_u64, Vec::new());
    for _ in 0..kills() {
        let requests = (0..8).map(|_| {
            next += 1;
            let (number, port, wait) = (next, server.port(), fastrand::u64(..30));
            let path = match number % 4 {
                0 => format!("/fail/{number}"),
                _ => format!("/prove/{number}/{}", fastrand::u64(..100)),
            };
            async move {
                tokio::time::sleep(Duration::from_millis(wait)).await;
                (number, post(port, &path).await)
            }
        });
        let requests: Vec<_> = requests.collect();
        let moment = tokio::time::sleep(Duration::from_millis(fastrand::u64(..40)));
        let answers = match fastrand::usize(..3) {
            0 => {
                let (answers, ()) = tokio::join!(join_all(requests), async {
                    moment.await;
                    server.kill().await;
                });
                server = start("serve").await;
                answers
            }
            victim => {
                let victim = workers.remove(victim - 1);
                let (answers, ()) = tokio::join!(join_all(requests), async {
                    moment.await;
                    victim.kill().await;
                });
                workers.push(start("work").await);
                answers
            }
        };
        let kept = answers
            .into_iter()
            .filter(|(_, status)| *status == Some(201));
        promised.extend(kept.map(|(number, _)| number));
    }
    let observer = observer(place);
    all_end(&observer).await;
    server.stop().await;
    for worker in workers {
        worker.stop().await;
    }

    let ended = evidence.ended();
    let (mut completed, mut dead) = (BTreeSet::new(), BTreeSet::new());
    let mut page = observer.stored().limit(1_000).list().await.unwrap();
    loop {
        for task in &page.tasks {
            let arguments: serde_json::Value = serde_json::from_str(&task.arguments).unwrap();
            let number = arguments["number"].as_u64().unwrap();
            let is_new = match task.state {
                StoredState::Completed => {
                    // The run that is recorded is one that did end.
                    let attempts = ended.get(&number).cloned().unwrap_or_default();
                    assert!(attempts.contains(&task.attempt), "{task:?}: {attempts:?}");
                    completed.insert(number)
                }
                StoredState::Dead => dead.insert(number),
                _ => panic!("unfinished: {task:?}"),
            };
            assert!(is_new, "{number} is stored twice");
        }
        let Some(next) = page.next else { break };
        page = observer
            .stored()
            .limit(1_000)
            .after(next)
            .list()
            .await
            .unwrap();
    }
    let lost: Vec<_> = promised
        .iter()
        .filter(|number| !completed.contains(number) && !dead.contains(number))
        .collect();
    assert!(lost.is_empty(), "lost of {}: {lost:?}", promised.len());
    // Only those that fail may be dead, in spite of all the workers that they lost.
    assert!(dead.iter().all(|number| number % 4 == 0), "{dead:?}");
    let twice = ended.values().filter(|attempts| attempts.len() > 1).count();
    println!(
        "kills={} promised={} stored={} lost=0 recorded_twice=0 begun={} ended_twice={twice} dead={}",
        kills(),
        promised.len(),
        completed.len() + dead.len(),
        evidence.begun(),
        dead.len(),
    );
    assert!(
        promised.len() > kills(),
        "{} promises prove little",
        promised.len()
    );
}

/// P-DURABLE-9
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_a_file_are_killed_and_every_promise_is_kept() {
    every_promise_is_kept_though_processes_are_killed(&Place::sqlite()).await;
}

/// P-DURABLE-9
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_a_server_are_killed_and_every_promise_is_kept() {
    let Some(place) = Place::postgres() else {
        return;
    };
    every_promise_is_kept_though_processes_are_killed(&place).await;
}
