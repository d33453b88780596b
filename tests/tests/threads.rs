//! Synchronous tasks: how many run at once, and what becomes of a thread that goes on when its run is over.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, FailureKind, TaskExt, TaskHandle,
    background_task, named, named_blocking, tasks,
};
use tests::{
    Timeline, eventually,
    tasks::{Failures, respond_with, settled},
    within,
};
use tokio::runtime;

/// Threads stay here until it is opened. Notes who came, and how many were here at once.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<Visitors>, Condvar)>);

#[derive(Default)]
struct Visitors {
    is_open: bool,
    came: Vec<String>,
    now: usize,
    most: usize,
}

impl Gate {
    fn visit(&self, name: impl Into<String>) {
        let (visitors, opened) = &*self.0;
        let mut visitors = visitors.lock().unwrap();
        visitors.came.push(name.into());
        visitors.now += 1;
        visitors.most = visitors.most.max(visitors.now);
        let mut visitors = opened
            .wait_while(visitors, |visitors| !visitors.is_open)
            .unwrap();
        visitors.now -= 1;
    }

    fn open(&self) {
        let (visitors, opened) = &*self.0;
        visitors.lock().unwrap().is_open = true;
        opened.notify_all();
    }

    fn came(&self) -> Vec<String> {
        self.0.0.lock().unwrap().came.clone()
    }

    fn most(&self) -> usize {
        self.0.0.lock().unwrap().most
    }

    async fn count(&self, expected: usize) {
        eventually("they came", || self.came().len() == expected).await;
    }

    fn task(&self, name: &'static str) -> bg_runtime::BoxTask {
        let gate = self.clone();
        named_blocking(name, move || gate.visit(name))
    }
}

/// A test that fails must not wait for its threads.
impl Drop for Gate {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.open();
        }
    }
}

const SOON: Duration = Duration::from_millis(10);

#[background_task(name = "threads.keyed", key = key, max_per_key = 1)]
fn keyed(key: u64, name: String, #[state] gate: &Gate) {
    let _ = key;
    gate.visit(name);
}

#[background_task(name = "threads.alone", max_concurrent = 1)]
fn alone(name: String, #[state] gate: &Gate) {
    gate.visit(name);
}

#[background_task(
    name = "threads.retried",
    retries = 1,
    backoff = "0s",
    timeout = "10ms"
)]
fn retried(name: String, #[state] gate: &Gate) {
    gate.visit(name);
}

/// A `Background` with these settings, whose failures are kept.
fn background(
    gate: &Gate,
    settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder,
) -> (Background, Failures) {
    tests::tasks::background(|builder| settings(builder.state(gate.clone())))
}

async fn kind_of(handle: TaskHandle) -> FailureKind {
    let ended = within("the outcome", handle).await;
    ended.expect_err("it does not succeed").kind()
}

/// Lets everything happen that does not wait for the gate: a task that is spawned later has run, on a thread
/// too.
async fn others_have_run(background: &Background) {
    for _ in 0..10 {
        let probe = background.spawn(named_blocking("probe", || ()));
        within("the probe", probe).await.unwrap();
    }
}

/// P-SYNC-2
#[tokio::test]
async fn a_key_is_taken_until_the_thread_of_a_run_that_timed_out_ends() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder);
    let first = background.spawn(Keyed::new(1, "first").timeout(SOON));
    assert_eq!(kind_of(first).await, FailureKind::Timeout);
    let next = background.spawn(Keyed::new(1, "next"));
    // Another key is not affected.
    let other = background.spawn(Keyed::new(2, "other"));
    gate.count(2).await;
    others_have_run(&background).await;
    assert_eq!(gate.came(), ["first", "other"]);
    gate.open();
    within("the next", next).await.unwrap();
    within("the other", other).await.unwrap();
    assert_eq!(gate.came(), ["first", "other", "next"]);
}

/// P-SYNC-2
#[tokio::test]
async fn a_key_is_taken_until_the_thread_of_an_aborted_task_ends() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder);
    let first = background.spawn(Keyed::new(1, "first"));
    gate.count(1).await;
    first.abort();
    assert_eq!(kind_of(first).await, FailureKind::Aborted);
    let next = background.spawn(Keyed::new(1, "next"));
    others_have_run(&background).await;
    assert_eq!(gate.came(), ["first"]);
    gate.open();
    within("the next", next).await.unwrap();
}

/// P-SYNC-2
#[tokio::test]
async fn a_name_is_taken_until_the_thread_of_a_run_that_timed_out_ends() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder);
    let first = background.spawn(Alone::new("first").timeout(SOON));
    assert_eq!(kind_of(first).await, FailureKind::Timeout);
    let next = background.spawn(Alone::new("next"));
    others_have_run(&background).await;
    assert_eq!(gate.came(), ["first"]);
    gate.open();
    within("the next", next).await.unwrap();
}

/// P-SYNC-3
#[tokio::test]
async fn another_attempt_waits_for_the_thread_of_the_one_before() {
    let gate = Gate::default();
    let (background, failures) = background(&gate, |builder| builder);
    let task = background.spawn(Retried::new("run"));
    eventually("the first run failed", || failures.count() == 1).await;
    assert!(failures.all()[0].will_retry());
    others_have_run(&background).await;
    assert_eq!(gate.came(), ["run"]);
    gate.open();
    within("the second run", task).await.unwrap();
    assert_eq!((gate.came().len(), gate.most()), (2, 1));
}

/// P-SYNC-2
#[tokio::test]
async fn a_lists_slot_comes_back_with_the_thread_of_a_run_that_timed_out() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder.max_concurrent(1));
    let timeline = Timeline::new();
    let list = tasks![gate.task("first").timeout(SOON), timeline.task("behind")];
    respond_with(&background, list.continue_on_error()).await;
    eventually("it failed", || background.stats().failed == 1).await;
    let spawned = background.spawn(timeline.task("spawned"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(timeline.find("behind").is_none() && timeline.find("spawned").is_none());
    gate.open();
    timeline.reached("behind done").await;
    within("the spawned task", spawned).await.unwrap();
    settled(&background, 3).await;
}

/// P-SYNC-2
#[tokio::test]
async fn a_thread_that_panics_late_gives_its_permits_back() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder.max_concurrent(1));
    let late = gate.clone();
    let panics = named_blocking("panics", move || {
        late.visit("panics");
        panic!("out of luck");
    });
    let panics = background.spawn(panics.timeout(SOON));
    assert_eq!(kind_of(panics).await, FailureKind::Timeout);
    let next = background.spawn(named("next", async {}));
    gate.open();
    within("the next", next).await.unwrap();
}

#[tokio::test]
async fn a_list_keeps_its_slot_between_two_synchronous_tasks() {
    let gate = Gate::default();
    gate.open();
    let (background, _) = background(&gate, |builder| builder.max_concurrent(1));
    for list in [["1", "2", "3"], ["4", "5", "6"]] {
        let list: BackgroundTasks = list.map(|name| gate.task(name)).into_iter().collect();
        respond_with(&background, list).await;
    }
    settled(&background, 6).await;
    assert_eq!(gate.came(), ["1", "2", "3", "4", "5", "6"]);
}

/// P-SYNC-4
#[test]
fn a_task_that_is_aborted_before_it_has_a_thread_gives_its_permits_back() {
    let gate = Gate::default();
    let runtime = runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (background, _) = background(&gate, |builder| builder.max_concurrent(1));
        let others = gate.clone();
        let occupied = tokio::task::spawn_blocking(move || others.visit("another's"));
        gate.count(1).await;
        let argument = Arc::new(());
        let held = argument.clone();
        let waits = background.spawn(named_blocking("waits", move || drop(held)));
        eventually("it waits for a thread", || background.stats().running == 1).await;
        waits.abort();
        let next = background.spawn(named("next", async {}));
        within("the next", next).await.unwrap();
        assert_eq!(Arc::strong_count(&argument), 1, "its arguments are dropped");
        gate.open();
        occupied.await.unwrap();
    });
}

/// P-SYNC-5
#[test]
fn synchronous_tasks_leave_threads_for_others() {
    let gate = Gate::default();
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (background, _) = background(&gate, |builder| builder.max_blocking(3));
        let handles: Vec<_> = (0..640)
            .map(|_| background.spawn(gate.task("work")))
            .collect();
        gate.count(3).await;
        // As a handler does that reads a file.
        for _ in 0..10 {
            let read = tokio::fs::read(file!());
            let _ = within("a thread for others", read).await;
        }
        let stats = background.stats();
        assert_eq!((stats.running, stats.pending), (3, 637), "{stats}");
        gate.open();
        for handle in handles {
            within("the outcome", handle).await.unwrap();
        }
        assert_eq!(gate.most(), 3);
    });
}

/// P-SYNC-5
#[tokio::test]
async fn synchronous_tasks_run_128_at_once_by_default() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder);
    let handles: Vec<_> = (0..140)
        .map(|_| background.spawn(gate.task("work")))
        .collect();
    gate.count(128).await;
    within("a thread for others", tokio::task::spawn_blocking(|| ()))
        .await
        .unwrap();
    let stats = background.stats();
    assert_eq!((stats.running, stats.pending), (128, 12), "{stats}");
    gate.open();
    for handle in handles {
        within("the outcome", handle).await.unwrap();
    }
    assert_eq!(gate.most(), 128);
}

/// P-SYNC-5
#[tokio::test]
async fn synchronous_tasks_that_wait_for_a_thread_run_in_order() {
    let gate = Gate::default();
    gate.open();
    let (background, _) = background(&gate, |builder| builder.max_blocking(1));
    let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let handles = names.map(|name| background.spawn(gate.task(name)));
    for handle in handles {
        within("the outcome", handle).await.unwrap();
    }
    assert_eq!(gate.came(), names);
}

/// A list that waits for a thread of the limit lets others run.
#[tokio::test]
async fn a_list_that_waits_for_max_blocking_gives_its_slot_to_others() {
    let gate = Gate::default();
    let (background, _) = background(&gate, |builder| builder.max_blocking(1).max_concurrent(2));
    let first = background.spawn(gate.task("first"));
    gate.count(1).await;
    let second = background.spawn(gate.task("second"));
    let others = ["a", "b"].map(|name| background.spawn(named(name, async {})));
    for other in others {
        within("another", other).await.unwrap();
    }
    assert_eq!(gate.came(), ["first"]);
    gate.open();
    for handle in [first, second] {
        within("the outcome", handle).await.unwrap();
    }
}

/// P-SYNC-6
#[tokio::test]
async fn a_thread_that_does_not_end_holds_no_shutdown_up() {
    let gate = Gate::default();
    let (background, failures) = background(&gate, |builder| builder.drain_timeout(SOON));
    let waits = background.spawn(Retried::new("run"));
    eventually("the first run failed", || failures.count() == 1).await;
    let runs = background.spawn(Keyed::new(1, "runs"));
    let next = background.spawn(Keyed::new(1, "next"));
    gate.count(2).await;
    let report = within("the shutdown", background.shutdown()).await;
    assert_eq!(report.stats().aborted, 3, "{report}");
    let names = report.unfinished().iter().map(|task| task.task().name());
    let expected = ["threads.retried", "threads.keyed", "threads.keyed"];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    for handle in [waits, runs, next] {
        assert_eq!(kind_of(handle).await, FailureKind::Aborted);
    }
    assert_eq!(gate.came(), ["run", "runs"]);
    gate.open();
}
