//! Servers and workers that are killed at any moment: every task that a client was promised runs, and no outcome is
//! recorded of a run that did not have it, or twice. The database itself keeps the books of that: see [`Audit`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bg_runtime::Background;
use bg_runtime::durable::{Store, StoredState};
use futures_util::future::join_all;
use tests::durable::{Audit, Evidence, Node, Place, Record, Runs, post};
use tests::on_each_shared_store;

use crate::tasks::{KEY, Lab, Number};

const PROGRAM: &str = env!("CARGO_BIN_EXE_node");

/// Looks at the store, and runs nothing.
pub(crate) fn observer(place: &Place) -> Background {
    let store: Store = place.store();
    let key = bg_runtime::durable::SecretKey::new(KEY);
    let builder = Background::builder().state(Lab::new());
    let store = store.enqueue_only().secret_keys([key]);
    builder.durable(store).build().expect("nothing to refuse")
}

/// Waits until no task is unfinished.
pub(crate) async fn all_end(observer: &Background) {
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

/// What happens to a fleet.
struct Plan {
    servers: usize,
    workers: usize,
    /// Whether there is another kill, after so many and so long.
    goes_on: fn(usize, Duration) -> bool,
    /// Between two kills, in milliseconds.
    pause: std::ops::Range<u64>,
}

async fn every_promise_is_kept_though_processes_are_killed(
    place: &Place,
    plan: &Plan,
    mut beside: impl AsyncFnMut(Duration),
) {
    let directory = tempfile::tempdir().unwrap();
    let evidence = Evidence::at(directory.path().join("evidence"));
    let observer = observer(place);
    // So that the tables are there.
    observer.start().await.expect("a store");
    let audit = Audit::begin(place).await;
    let start = |role| Node::start(Path::new(PROGRAM), role, place, &evidence);
    let (mut servers, mut workers) = (Vec::new(), Vec::new());
    for _ in 0..plan.servers {
        servers.push(start("serve").await);
    }
    for _ in 0..plan.workers {
        workers.push(start("work").await);
    }
    let (mut next, mut promised, mut kills) = (0_u64, Vec::new(), 0);
    let begun = Instant::now();
    while (plan.goes_on)(kills, begun.elapsed()) {
        beside(begun.elapsed()).await;
        kills += 1;
        let requests = (0..8).map(|_| {
            next += 1;
            let number = next;
            let port = servers[fastrand::usize(..servers.len())].port();
            let wait = fastrand::u64(plan.pause.clone());
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
        let moment = Duration::from_millis(fastrand::u64(plan.pause.clone()));
        let (role, nodes) = match fastrand::usize(..3) {
            0 => ("serve", &mut servers),
            _ => ("work", &mut workers),
        };
        let victim = nodes.swap_remove(fastrand::usize(..nodes.len()));
        let (answers, ()) = tokio::join!(join_all(requests), async {
            tokio::time::sleep(moment).await;
            victim.kill().await;
        });
        nodes.push(start(role).await);
        let kept = answers
            .into_iter()
            .filter(|(_, status)| *status == Some(201));
        promised.extend(kept.map(|(number, _)| number));
    }
    all_end(&observer).await;
    for server in servers {
        server.stop().await;
    }
    for worker in workers {
        worker.stop().await;
    }

    let ended = evidence.ended();
    let records = audit.records().await;
    let faults = Record::faults(&records, &ended);
    assert!(faults.is_empty(), "{faults:#?}");
    let last = records.iter().map(|record| (record.number, record));
    let last: BTreeMap<_, _> = last.collect();
    let (mut completed, mut dead) = (BTreeSet::new(), BTreeSet::new());
    let mut page = observer.stored().limit(1_000).list().await.unwrap();
    loop {
        for task in &page.tasks {
            let arguments: serde_json::Value = serde_json::from_str(&task.arguments).unwrap();
            let number = arguments["number"].as_u64().unwrap();
            let (is_new, state) = match task.state {
                StoredState::Completed => (completed.insert(number), "completed"),
                StoredState::Dead => (dead.insert(number), "discarded"),
                _ => panic!("unfinished: {task:?}"),
            };
            // What is stored is what was recorded, so the audit has missed no end.
            let record = last.get(&number).map(|last| (&*last.after, last.attempt));
            assert_eq!(record, Some((state, task.attempt)), "{task:?}");
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
        kills,
        promised.len(),
        completed.len() + dead.len(),
        evidence.begun(),
        dead.len(),
    );
    assert!(
        promised.len() > kills,
        "{} promises prove little",
        promised.len()
    );
}

/// A hundred kills, as fast as processes start.
const HUNDRED: Plan = Plan {
    servers: 1,
    workers: 2,
    goes_on: |kills, _| kills < 100,
    pause: 0..40,
};

/// P-DURABLE-9, P-DURABLE-43
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_a_file_are_killed_and_every_promise_is_kept() {
    let place = Place::sqlite();
    every_promise_is_kept_though_processes_are_killed(&place, &HUNDRED, async |_| {}).await;
}

/// P-DURABLE-9, P-DURABLE-43
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_a_server_are_killed_and_every_promise_is_kept() {
    let Some(place) = Place::postgres() else {
        return;
    };
    every_promise_is_kept_though_processes_are_killed(&place, &HUNDRED, async |_| {}).await;
}

/// P-DURABLE-9, P-DURABLE-43
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_on_redis_are_killed_and_every_promise_is_kept() {
    let Some(place) = Place::redis() else {
        return;
    };
    every_promise_is_kept_though_processes_are_killed(&place, &HUNDRED, async |_| {}).await;
}

/// Two servers and three workers, one of which is killed every two seconds.
const SOAK: Plan = Plan {
    servers: 2,
    workers: 3,
    goes_on: |_, elapsed| elapsed < soak_time(),
    pause: 0..2000,
};

/// Ten minutes, or what the environment says.
fn soak_time() -> Duration {
    let asked = std::env::var("BG_SOAK_SECONDS").ok();
    Duration::from_secs(asked.map_or(600, |seconds| seconds.parse().expect("a number")))
}

/// CONTRIBUTING.md says when.
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes"]
async fn soak_on_a_file() {
    let place = Place::sqlite();
    every_promise_is_kept_though_processes_are_killed(&place, &SOAK, async |_| {}).await;
}

/// The server itself is restarted every minute, and crashes every other time.
#[cfg(any(feature = "postgres", feature = "redis"))]
async fn soak_on_a_server_that_is_restarted<S: tests::durable::DatabaseServer>() {
    let Some(mut server) = S::own() else {
        return;
    };
    let place = server.place("soak");
    let mut restarts = 0;
    let restart = async |elapsed: Duration| {
        if elapsed.as_secs() / 60 > restarts {
            restarts += 1;
            let how = match restarts % 2 {
                0 => S::CRASH,
                _ => S::IN_ORDER,
            };
            tokio::task::block_in_place(|| {
                server.stop(how);
                server.run();
            });
        }
    };
    every_promise_is_kept_though_processes_are_killed(&place, &SOAK, restart).await;
    println!("restarts={restarts}");
}

/// CONTRIBUTING.md says when.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes"]
async fn soak_on_a_server() {
    soak_on_a_server_that_is_restarted::<tests::durable::PostgresServer>().await;
}

/// CONTRIBUTING.md says when.
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ten minutes"]
async fn soak_on_redis() {
    soak_on_a_server_that_is_restarted::<tests::durable::RedisServer>().await;
}

/// A worker that stands still for longer than its lease, and goes on in the middle of the run of another.
async fn a_worker_that_was_stopped_records_nothing(place: &Place) {
    let directory = tempfile::tempdir().unwrap();
    let evidence = Evidence::at(directory.path().join("evidence"));
    let observer = observer(place);
    observer.start().await.unwrap();
    let audit = Audit::begin(place).await;
    let start = |role| Node::start(Path::new(PROGRAM), role, place, &evidence);
    let (server, first) = (start("serve").await, start("work").await);
    // Long enough to be stopped in the middle of it.
    assert_eq!(server.post("/prove/1/1500").await, Some(201));
    tests::eventually("a run", || evidence.begun() == 1).await;
    first.signal("STOP").await;
    let second = start("work").await;
    tests::eventually("another run", || evidence.begun() == 2).await;
    first.signal("CONT").await;
    tests::eventually("the end of both runs", || {
        evidence
            .ended()
            .get(&1)
            .is_some_and(|ended| ended.len() == 2)
    })
    .await;
    all_end(&observer).await;
    // What it has to say it says until it stops.
    first.stop().await;
    let tasks = observer.stored().list().await.unwrap().tasks;
    let [task] = tasks.as_slice() else {
        panic!("{tasks:?}")
    };
    assert_eq!(
        (task.state, task.attempt),
        (StoredState::Completed, 2),
        "{task:?}"
    );
    let (records, ended) = (audit.records().await, evidence.ended());
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(Record::faults(&records, &ended), Vec::<String>::new());
    second.stop().await;
    server.stop().await;
}

/// P-DURABLE-12, P-DURABLE-43
#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_records_nothing_in_a_file() {
    a_worker_that_was_stopped_records_nothing(&Place::sqlite()).await;
}

/// P-DURABLE-12, P-DURABLE-43
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_records_nothing_on_a_server() {
    if let Some(place) = Place::postgres() {
        a_worker_that_was_stopped_records_nothing(&place).await;
    }
}

/// P-DURABLE-12, P-DURABLE-43
#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_was_stopped_records_nothing_on_redis() {
    if let Some(place) = Place::redis() {
        a_worker_that_was_stopped_records_nothing(&place).await;
    }
}

on_each_shared_store! {
    /// Shows that the audit finds what must not be.
    ///
    /// P-DURABLE-43
    #[test]
    async fn an_end_that_is_written_too_early_or_twice_is_noticed(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let audit = Audit::begin(place).await;
        background.enqueue(Number::new(1)).await.unwrap();
        lab.timeline.reached("number 1").await;
        // As a worker does that was taken for dead, if nothing refuses it.
        place.write_ends().await;
        let faults = Record::faults(&audit.records().await, &Runs::new());
        assert!(faults[0].contains("its run had not ended"), "{faults:?}");
        lab.gate.add_permits(1);
        background.shutdown().await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ended = u64::try_from(now.as_millis()).unwrap();
        let runs = Runs::from([(1, [(1, ended)].into())]);
        place.write_ends().await;
        let records = audit.records().await;
        assert_eq!(records.len(), 2, "the end of the run itself was refused: {records:?}");
        let faults = Record::faults(&records, &runs);
        assert!(faults.iter().any(|fault| fault.contains("it ended before")), "{faults:?}");
    }
}
