//! How many tasks run at once, and how many may wait: which wait, in which order, and which are
//! refused.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::StatusCode,
    routing,
};
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, Backoff, BoxTask, FailureKind, IntoTask,
    Overflow, SkipReason, Task, TaskContext, TaskDef, TaskExt, TaskFailure, TaskHandle, TaskResult,
    named, post, routes, tasks,
};
use futures_util::{StreamExt, future::join_all, stream};
use tests::{
    Client, Diary, Flavour, Http1, Protocol, Server, Serving, Setup, Timeline, eventually,
    on_every_setup,
    tasks::{background, is_balanced, respond_with, settled, skip_reason},
    within,
};
use tokio::{sync::mpsc, time::Instant};
use tower_http::timeout::TimeoutLayer;

const SECOND: Duration = Duration::from_secs(1);

/// Counts the visits that run at once, by key.
#[derive(Clone, Default)]
struct Crowd(Arc<Mutex<HashMap<u64, Counts>>>);

#[derive(Default)]
struct Counts {
    now: usize,
    most: usize,
}

impl Crowd {
    fn enter(&self, key: u64) {
        let mut crowd = self.0.lock().unwrap();
        let counts = crowd.entry(key).or_default();
        counts.now += 1;
        counts.most = counts.most.max(counts.now);
    }

    fn leave(&self, key: u64) {
        self.0.lock().unwrap().get_mut(&key).unwrap().now -= 1;
    }

    fn most(&self, key: u64) -> usize {
        self.0.lock().unwrap()[&key].most
    }
}

/// The work of this file's tasks: they are in a crowd for a second.
#[derive(Clone)]
struct Visit {
    diary: Diary,
    crowd: Crowd,
    key: u64,
}

impl Visit {
    async fn run(self) -> TaskResult {
        self.diary.note(format!("key {}", self.key));
        self.crowd.enter(self.key);
        tokio::time::sleep(SECOND).await;
        self.crowd.leave(self.key);
        Ok(())
    }
}

/// Creates visits that share a diary and a crowd.
struct Visits {
    diary: Diary,
    crowd: Crowd,
}

impl Visits {
    fn begin() -> Self {
        Self {
            diary: Diary::begin(),
            crowd: Crowd::default(),
        }
    }

    fn with_key(&self, key: u64) -> Visit {
        let (diary, crowd) = (self.diary.clone(), self.crowd.clone());
        Visit { diary, crowd, key }
    }
}

/// Declares a task whose work is a visit.
macro_rules! visits {
    ($task:ident, $def:expr) => {
        struct $task(Visit);

        impl Task for $task {
            const DEF: &'static TaskDef = &$def;

            async fn run(self, _: TaskContext) -> TaskResult {
                self.0.run().await
            }

            fn key(&self) -> Option<String> {
                Some(self.0.key.to_string())
            }

            fn arguments(&self) -> Option<impl std::fmt::Debug> {
                Some(self.0.key)
            }
        }
    };
}

visits!(TwoAtOnce, TaskDef::new("two.at.once").max_concurrent(2));
visits!(OneByOne, TaskDef::new("one.by.one").max_per_key(1));
visits!(
    TwoMayWait,
    TaskDef::new("two.may.wait")
        .max_per_key(1)
        .max_pending_per_key(2)
);

async fn all(handles: impl IntoIterator<Item = TaskHandle>) {
    for ended in within("the outcomes", join_all(handles)).await {
        ended.unwrap();
    }
}

// Limits of one task.

/// P-LIMIT-3
#[tokio::test(start_paused = true)]
async fn a_task_runs_up_to_its_limit_at_once_and_holds_no_other_task_up() {
    let (background, _) = background(|builder| builder);
    let visits = Visits::begin();
    let handles = [1, 2, 3, 4, 5].map(|key| background.spawn(TwoAtOnce(visits.with_key(key))));
    let other = background.spawn(visits.diary.task("other", SECOND));
    all(handles.into_iter().chain([other])).await;
    let lines = [
        "0s key 1", "0s key 2", "0s other", "1s key 3", "1s key 4", "2s key 5",
    ];
    assert_eq!(visits.diary.lines(), lines, "in order");
}

/// P-LIMIT-3
#[tokio::test(start_paused = true)]
async fn the_limit_of_a_task_holds_across_requests() {
    let (background, _) = background(|builder| builder);
    let visits = Visits::begin();
    for _ in 0..3 {
        let list = BackgroundTasks::concurrent()
            .with_task(TwoAtOnce(visits.with_key(1)))
            .with_task(TwoAtOnce(visits.with_key(1)));
        respond_with(&background, list).await;
    }
    settled(&background, 6).await;
    assert_eq!(visits.crowd.most(1), 2);
}

/// A task that waits for its next run has left its place.
#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_next_run_lets_another_of_its_name_run() {
    #[derive(Clone)]
    struct Alone(Diary, bool);

    impl Task for Alone {
        const DEF: &'static TaskDef = &TaskDef::new("alone")
            .max_concurrent(1)
            .retries(1)
            .backoff(Backoff::fixed(Duration::from_secs(5)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            let Self(diary, fails) = self;
            diary.note(format!("run {} of {fails}", cx.attempt()));
            tokio::time::sleep(SECOND).await;
            if fails { Err("no luck".into()) } else { Ok(()) }
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    let first = background.spawn(Alone(diary.clone(), true));
    let second = background.spawn(Alone(diary.clone(), false));
    all([second]).await;
    within("the outcome", first).await.unwrap_err();
    let lines = ["0s run 1 of true", "1s run 1 of false", "6s run 2 of true"];
    assert_eq!(diary.lines(), lines);
}

// Limits of the whole `Background`.

/// P-LIMIT-1
#[tokio::test(start_paused = true)]
async fn lists_run_up_to_the_limit_at_once_in_the_order_of_their_responses() {
    let (background, _) = background(|builder| builder.max_concurrent(2));
    let diary = Diary::begin();
    for [first, second] in [["a", "A"], ["b", "B"], ["c", "C"]] {
        let list = tasks![diary.task(first, SECOND), diary.task(second, SECOND)];
        respond_with(&background, list).await;
    }
    let spawned = background.spawn(diary.task("spawned", SECOND));
    spawned.await.unwrap();
    settled(&background, 7).await;
    let mut lines = diary.lines();
    // The order of two tasks that start in the same moment is not promised.
    lines.sort();
    let expected = ["0s a", "0s b", "1s A", "1s B", "2s c", "2s spawned", "3s C"];
    assert_eq!(lines, expected);
}

/// P-LIMIT-1
#[tokio::test(start_paused = true)]
async fn lists_that_wait_run_in_their_order() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    let names = ["1", "2", "3", "4", "5", "6"];
    for name in names {
        if name == "4" {
            drop(background.spawn(diary.task(name, SECOND)));
        } else {
            respond_with(&background, diary.task(name, SECOND)).await;
        }
    }
    settled(&background, 6).await;
    let lines = diary.lines();
    let order = lines.iter().map(|line| line.split_once(' ').unwrap().1);
    assert_eq!(order.collect::<Vec<_>>(), names);
}

/// P-LIMIT-2
#[tokio::test(start_paused = true)]
async fn a_list_lets_others_run_while_it_waits_for_something_else() {
    /// Comes back after five seconds.
    #[derive(Clone)]
    struct ComesBack(Diary);

    impl Task for ComesBack {
        const DEF: &'static TaskDef = &TaskDef::new("comes.back")
            .retries(1)
            .backoff(Backoff::fixed(Duration::from_secs(5)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            self.0.note(format!("run {}", cx.attempt()));
            if cx.attempt() == 1 {
                Err("no luck".into())
            } else {
                Ok(())
            }
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let (background, _) = background(|builder| builder.max_concurrent(1));

    let diary = Diary::begin();
    let delayed = diary.task("delayed", SECOND).delay(5 * SECOND);
    let handles = [delayed, diary.task("meanwhile", SECOND)];
    all(handles.map(|task| background.spawn(task))).await;
    assert_eq!(diary.lines(), ["0s meanwhile", "5s delayed"]);

    let diary = Diary::begin();
    let comes_back = background.spawn(ComesBack(diary.clone()));
    let meanwhile = background.spawn(diary.task("meanwhile", SECOND));
    all([comes_back, meanwhile]).await;
    assert_eq!(diary.lines(), ["0s run 1", "0s meanwhile", "5s run 2"]);
}

/// P-LIMIT-2
#[tokio::test(start_paused = true)]
async fn a_list_lets_others_run_while_it_waits_for_a_key_or_a_name() {
    type Held = fn(Visit) -> BoxTask;
    let held: [(usize, Held); 2] = [
        (1, |visit| OneByOne(visit).into_task()),
        (2, |visit| TwoAtOnce(visit).into_task()),
    ];
    for (at_once, held) in held {
        // One place more than these tasks can take.
        let (background, _) = background(|builder| builder.max_concurrent(at_once + 1));
        let visits = Visits::begin();
        let handles: Vec<_> = (0..6)
            .map(|_| background.spawn(held(visits.with_key(1))))
            .collect();
        let other = background.spawn(visits.diary.task("other", SECOND));
        all(handles.into_iter().chain([other])).await;
        assert_eq!(visits.diary.times("other"), [Duration::ZERO]);
        assert_eq!(visits.crowd.most(1), at_once);
    }
}

/// P-LIMIT-1
#[tokio::test(start_paused = true)]
async fn each_member_of_a_concurrent_list_takes_a_place() {
    let (background, _) = background(|builder| builder.max_concurrent(2));
    let diary = Diary::begin();
    let names = ["a", "b", "c", "d", "e"];
    let list = BackgroundTasks::concurrent();
    for name in names {
        list.add_task(diary.task(name, SECOND));
    }
    respond_with(&background, list).await;
    settled(&background, 5).await;
    let lines = ["0s a", "0s b", "1s c", "1s d", "2s e"];
    assert_eq!(diary.lines(), lines);
}

#[tokio::test(start_paused = true)]
async fn a_list_within_a_list_does_not_wait_for_the_place_that_it_has() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    let task = |name| diary.task(name, SECOND);
    let innermost = BackgroundTasks::concurrent()
        .with_task(task("4"))
        .with_task(task("5"));
    let inner = BackgroundTasks::concurrent()
        .with_task(task("2"))
        .with_task(tasks![task("3"), innermost]);
    respond_with(&background, tasks![task("1"), inner, task("6")]).await;
    settled(&background, 6).await;
    let lines = ["0s 1", "1s 2", "2s 3", "3s 4", "4s 5", "5s 6"];
    assert_eq!(diary.lines(), lines);
}

/// Skipping a task takes no place.
#[tokio::test(start_paused = true)]
async fn tasks_behind_a_concurrent_list_that_failed_wait_for_no_place() {
    let (background, failures) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    let fails = named("fails", async {
        tokio::time::sleep(SECOND).await;
        Err::<(), _>("no luck")
    });
    let list = BackgroundTasks::concurrent().with_task(fails);
    respond_with(&background, tasks![list, diary.task("behind", SECOND)]).await;
    let others = ["first", "second"].map(|name| background.spawn(diary.task(name, SECOND)));
    tokio::time::sleep(SECOND).await;
    let stats = background.stats();
    assert_eq!((stats.failed, stats.skipped), (1, 1), "{stats}");
    assert_eq!(failures.all()[0].skipped().len(), 1);
    all(others).await;
    assert_eq!(diary.lines(), ["1s first", "2s second"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_may_spawn_more_than_there_are_places_for() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    let (inner, notes) = (background.clone(), diary.clone());
    let outer = named("outer", async move {
        for name in ["1", "2", "3"] {
            drop(inner.spawn(notes.task(name, SECOND)));
        }
        tokio::time::sleep(SECOND).await;
    });
    background.spawn(outer).await.unwrap();
    settled(&background, 4).await;
    assert_eq!(diary.lines(), ["1s 1", "2s 2", "3s 3"]);
}

// Limits of one key.

/// P-LIMIT-4
#[tokio::test(start_paused = true)]
async fn tasks_of_a_key_run_in_turn_and_hold_no_other_key_up() {
    for settings in [
        (|builder| builder) as fn(BackgroundBuilder) -> BackgroundBuilder,
        |builder| builder.max_concurrent(3),
    ] {
        let (background, _) = background(settings);
        let visits = Visits::begin();
        let keys = [1, 1, 1, 2, 2, 3];
        let handles = keys.map(|key| background.spawn(OneByOne(visits.with_key(key))));
        all(handles).await;
        for key in [1, 2, 3] {
            assert_eq!(visits.crowd.most(key), 1);
        }
        let mut lines = visits.diary.lines();
        lines.sort();
        let expected = [
            "0s key 1", "0s key 2", "0s key 3", "1s key 1", "1s key 2", "2s key 1",
        ];
        assert_eq!(lines, expected);
    }
}

/// P-LIMIT-4
///
/// The outcome of a task that is aborted comes before its future is dropped, and a hook may then
/// queue the next task of the key.
#[tokio::test(start_paused = true)]
async fn the_next_task_of_a_key_waits_until_one_that_was_aborted_is_gone() {
    struct Stays(Diary, &'static str);

    impl Task for Stays {
        const DEF: &'static TaskDef = &TaskDef::new("stays").max_per_key(1);

        async fn run(self, _: TaskContext) -> TaskResult {
            let Self(diary, name) = self;
            diary.note(format!("{name} begins"));
            let _leaves = Leaves(&diary, name);
            match name {
                "first" => std::future::pending().await,
                _ => Ok(()),
            }
        }

        fn key(&self) -> Option<String> {
            Some("one".to_owned())
        }
    }

    struct Leaves<'a>(&'a Diary, &'static str);

    impl Drop for Leaves<'_> {
        fn drop(&mut self) {
            self.0.note(format!("{} is gone", self.1));
        }
    }

    let diary = Diary::begin();
    let (background, next) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(None)));
    let hook = {
        let (diary, background, next) = (diary.clone(), background.clone(), next.clone());
        move |_: &TaskFailure| {
            let background: &Background = background.get().unwrap();
            let task = Stays(diary.clone(), "next");
            *next.lock().unwrap() = Some(background.spawn(task));
        }
    };
    let built = Background::builder().on_error(hook).build().unwrap();
    let background = background.get_or_init(|| built);

    let first = background.spawn(Stays(diary.clone(), "first"));
    eventually("the first runs", || background.stats().running == 1).await;
    first.abort();
    let next = next.lock().unwrap().take().expect("the hook is told");
    within("the outcome", next).await.unwrap();
    let lines = [
        "0s first begins",
        "0s first is gone",
        "0s next begins",
        "0s next is gone",
    ];
    assert_eq!(diary.lines(), lines);
    within("the outcome", first).await.unwrap_err();
}

/// P-LIMIT-4
#[tokio::test(start_paused = true)]
async fn a_thousand_tasks_of_one_key_do_not_hold_up_another() {
    for settings in [
        (|builder| builder) as fn(BackgroundBuilder) -> BackgroundBuilder,
        |builder| builder.max_concurrent(2),
        // With a limit on tasks that wait, too.
        |builder| {
            builder
                .max_concurrent(2)
                .max_pending(2_000, Overflow::Reject)
        },
    ] {
        let (background, _) = background(settings);
        let visits = Visits::begin();
        let many: Vec<_> = (0..1_000)
            .map(|_| background.spawn(OneByOne(visits.with_key(1))))
            .collect();
        let few = [2, 2, 2].map(|key| background.spawn(OneByOne(visits.with_key(key))));
        all(few).await;
        let waited = visits.diary.times("key 2");
        assert_eq!(waited, [Duration::ZERO, SECOND, 2 * SECOND]);
        let first = visits.diary.times("key 1").len();
        assert!(
            (2..=4).contains(&first),
            "it had its turns meanwhile: {first}"
        );
        many.iter().for_each(TaskHandle::abort);
        settled(&background, 1_003).await;
        assert_eq!(visits.crowd.most(1), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_is_passed_on_however_the_task_that_holds_it_ends() {
    struct Ends(Diary, &'static str);

    impl Task for Ends {
        const DEF: &'static TaskDef = &TaskDef::new("ends")
            .max_per_key(1)
            .timeout(Duration::from_secs(2));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note(self.1);
            tokio::time::sleep(SECOND).await;
            match self.1 {
                "panics" => panic!("out of luck"),
                "fails" => Err("no luck".into()),
                "stalls" | "is aborted" => std::future::pending().await,
                _ => Ok(()),
            }
        }

        fn key(&self) -> Option<String> {
            Some("one".to_owned())
        }
    }

    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    let ways = ["panics", "fails", "stalls", "is aborted", "last"];
    let handles = ways.map(|way| background.spawn(Ends(diary.clone(), way)));
    tokio::time::sleep(5 * SECOND).await;
    handles[3].abort();
    settled(&background, 5).await;
    let lines = [
        "0s panics",
        "1s fails",
        "2s stalls",
        "4s is aborted",
        "5s last",
    ];
    assert_eq!(diary.lines(), lines);
}

// How many tasks of one key wait.

/// P-LIMIT-5
#[tokio::test(start_paused = true)]
async fn tasks_beyond_max_pending_per_key_are_refused() {
    let (background, failures) = background(|builder| builder);
    let visits = Visits::begin();
    let spawn = |key| background.spawn(TwoMayWait(visits.with_key(key)));
    let first = spawn(1);
    // It runs, so it does not wait any more.
    eventually("it runs", || background.stats().running == 1).await;
    let waiting = [spawn(1), spawn(1)];
    let (refused, other) = (spawn(1), spawn(2));

    let failure = refused.await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Rejected);
    let text = failure.to_string();
    assert!(text.starts_with("background task two.may.wait (tests/tests/limits.rs:"));
    let end = "was rejected: `max_pending_per_key` is reached: no more than 2 with the key `1` \
               may wait to run";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(failure.arguments().as_deref(), Some("1"));
    assert_eq!(failures.count(), 1, "the hook was told");
    let stats = background.stats();
    assert_eq!((stats.accepted, stats.skipped, stats.failed), (5, 1, 0));

    first.await.unwrap();
    eventually("the next one runs", || {
        visits.diary.times("key 1").len() == 2
    })
    .await;
    let room_again = spawn(1);
    all(waiting).await;
    all([other, room_again]).await;
    assert_eq!(settled(&background, 6).await.completed, 5);
}

/// P-LIMIT-5
#[tokio::test(start_paused = true)]
async fn what_is_behind_a_refused_task_is_skipped_and_other_lists_are_not() {
    let (background, failures) = background(|builder| builder);
    let visits = Visits::begin();
    let task = || TwoMayWait(visits.with_key(1));
    let note = |name| visits.diary.task(name, SECOND);
    // All of them are queued before the first can run.
    let list = tasks![
        note("before"),
        task(),
        tasks![task(), note("nested"), task(), note("behind, nested")],
        note("behind"),
    ];
    respond_with(&background, list).await;
    respond_with(&background, note("other list")).await;
    let stats = settled(&background, 8).await;
    assert_eq!((stats.completed, stats.skipped), (5, 3), "{stats}");

    let told = failures.all();
    let [refused, nested, behind] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(refused.kind(), FailureKind::Rejected);
    for (skipped, name) in [(nested, "behind, nested"), (behind, "behind")] {
        assert_eq!(skipped.task().name(), name);
        let refused = "two.may.wait";
        assert_eq!(skip_reason(skipped), SkipReason::EarlierRefusal { refused });
    }
    let lines = visits.diary.lines();
    assert!(lines.contains(&"0s other list".to_owned()), "{lines:?}");
    assert!(lines.contains(&"3s nested".to_owned()), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_after_errors_goes_on_after_a_refusal() {
    let (background, _) = background(|builder| builder);
    let visits = Visits::begin();
    let task = || TwoMayWait(visits.with_key(1));
    let behind = visits.diary.task("behind", SECOND);
    let list = tasks![task(), task(), task(), behind];
    respond_with(&background, list.continue_on_error()).await;
    let stats = settled(&background, 4).await;
    assert_eq!((stats.completed, stats.skipped), (3, 1), "{stats}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_next_run_counts_as_pending_for_its_key() {
    #[derive(Clone)]
    struct OneMayWait(bool);

    impl Task for OneMayWait {
        const DEF: &'static TaskDef = &TaskDef::new("one.may.wait")
            .max_pending_per_key(1)
            .retries(1)
            .backoff(Backoff::fixed(SECOND));

        async fn run(self, _: TaskContext) -> TaskResult {
            tokio::time::sleep(SECOND).await;
            if self.0 {
                Err("no luck".into())
            } else {
                Ok(())
            }
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }

        fn key(&self) -> Option<String> {
            Some("one".to_owned())
        }
    }

    let (background, _) = background(|builder| builder);
    let fails = background.spawn(OneMayWait(true));
    tokio::time::sleep(SECOND / 2).await;
    background
        .spawn(OneMayWait(false))
        .await
        .expect("the first runs");
    // At 1.5 seconds the first waits for its second run, which begins at 2.
    let failure = background.spawn(OneMayWait(false)).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Rejected);
    tokio::time::sleep(SECOND).await;
    assert_eq!(background.stats().running, 1, "its second run");
    background
        .spawn(OneMayWait(false))
        .await
        .expect("it runs again");
    fails.await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_task_without_a_key_runs_without_the_limits_of_one() {
    struct Keyless(Diary);

    impl Task for Keyless {
        const DEF: &'static TaskDef = &TaskDef::new("keyless")
            .max_per_key(1)
            .max_pending_per_key(1);

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note("runs");
            tokio::time::sleep(SECOND).await;
            Ok(())
        }
    }

    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    all([1, 2, 3].map(|_| background.spawn(Keyless(diary.clone())))).await;
    assert_eq!(diary.lines(), ["0s runs"; 3]);
}

/// A key that cannot be shown is no key.
///
/// P-PANIC-3
#[tokio::test(start_paused = true)]
async fn a_task_whose_key_panics_runs_without_the_limits_of_its_key() {
    struct Unspeakable(Diary);

    impl Task for Unspeakable {
        const DEF: &'static TaskDef = &TaskDef::new("unspeakable").max_pending_per_key(1);

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note("runs");
            Ok(())
        }

        fn key(&self) -> Option<String> {
            panic!("no words for it")
        }
    }

    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    all([1, 2, 3].map(|_| background.spawn(Unspeakable(diary.clone())))).await;
    assert_eq!(diary.lines(), ["0s runs"; 3]);
}

// How many tasks wait in all: more are refused.

/// P-LIMIT-6
#[tokio::test(start_paused = true)]
async fn tasks_beyond_max_pending_are_refused() {
    let (background, failures) =
        background(|builder| builder.max_concurrent(1).max_pending(2, Overflow::Reject));
    let diary = Diary::begin();
    let spawn = |name| background.spawn(diary.task(name, SECOND));
    let running = spawn("runs");
    eventually("it runs", || background.stats().running == 1).await;
    let waiting = [spawn("waits"), spawn("waits")];
    let failure = spawn("refused").await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Rejected);
    let end = "was rejected: `max_pending` is reached: no more than 2 may wait to run";
    assert!(failure.to_string().ends_with(end), "{failure}");
    assert_eq!(failures.count(), 1);
    running.await.unwrap();
    eventually("the next one runs", || diary.times("waits").len() == 1).await;
    all([spawn("let in")]).await;
    all(waiting).await;
    let stats = settled(&background, 5).await;
    assert_eq!((stats.completed, stats.skipped), (4, 1), "{stats}");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_list_that_is_longer_than_max_pending_is_refused() {
    let (background, failures) = background(|builder| builder.max_pending(3, Overflow::Reject));
    let diary = Diary::begin();
    let names = ["1", "2", "3", "4", "5"];
    let list: BackgroundTasks = names.iter().map(|name| diary.task(name, SECOND)).collect();
    respond_with(&background, list).await;
    let stats = settled(&background, 5).await;
    assert_eq!((stats.completed, stats.skipped), (3, 2), "{stats}");
    assert_eq!(diary.lines(), ["0s 1", "1s 2", "2s 3"]);
    let told = failures.all();
    let names = told.iter().map(|failure| failure.task().name());
    assert_eq!(names.collect::<Vec<_>>(), ["4", "5"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_next_run_takes_room_even_if_there_is_none() {
    #[derive(Clone)]
    struct ComesBack;

    impl Task for ComesBack {
        const DEF: &'static TaskDef = &TaskDef::new("comes.back")
            .retries(1)
            .backoff(Backoff::fixed(SECOND));

        async fn run(self, cx: TaskContext) -> TaskResult {
            tokio::time::sleep(SECOND).await;
            if cx.attempt() == 1 {
                Err("no luck".into())
            } else {
                Ok(())
            }
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let (background, _) = background(|builder| builder.max_pending(1, Overflow::Reject));
    let diary = Diary::begin();
    let is_refused = async |task: BoxTask| {
        let ended = background.spawn(task.timeout(SECOND / 10)).await;
        ended.unwrap_err().kind() == FailureKind::Rejected
    };
    let quick = || diary.task("quick", SECOND);
    let comes_back = background.spawn(ComesBack);
    tokio::time::sleep(SECOND / 2).await;
    assert!(!is_refused(quick()).await, "it runs, and takes no room");
    // The only seat is taken when it fails and waits again, so that one task too many waits.
    let delayed = background.spawn(diary.task("delayed", SECOND).delay(SECOND));
    tokio::time::sleep(SECOND * 6 / 10).await;
    assert_eq!(background.stats().pending, 2);
    assert!(is_refused(quick()).await);
    // One of the two has gone, and one is still there.
    tokio::time::sleep(SECOND * 6 / 10).await;
    assert_eq!(background.stats().pending, 1);
    assert!(is_refused(quick()).await);
    tokio::time::sleep(SECOND / 2).await;
    assert_eq!(background.stats().pending, 0);
    assert!(!is_refused(quick()).await, "both run");
    comes_back.await.unwrap();
    delayed.await.unwrap();
}

async fn adds_quick_tasks(tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(named("quick", async {
        tokio::task::yield_now().await;
    }));
    "ok"
}

/// P-STATS-1, P-LIMIT-6
#[tokio::test]
async fn a_flood_never_gets_beyond_the_limit_and_no_count_is_lost() {
    const LIMIT: u64 = 20;
    const CONNECTIONS: usize = 40;
    const REQUESTS: usize = 50;

    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(adds_quick_tasks));
    let setup = Setup {
        flavour: Flavour::Workers(4),
        serving: Serving::Background,
    };
    let server = Server::run_with(setup, &timeline, app, |builder| {
        let builder = builder.max_concurrent(1);
        builder.max_pending(LIMIT as usize, Overflow::Reject)
    })
    .await;
    let over = Arc::new(AtomicBool::new(false));
    // A thread that does nothing but look.
    let looking = std::thread::spawn({
        let (background, over) = (server.background().clone(), over.clone());
        move || {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                let stats = background.stats();
                assert!(is_balanced(&stats), "{stats:?}");
                most = most.max(stats.pending);
            }
            most
        }
    });
    let clients = (0..CONNECTIONS).map(|_| {
        let address = server.address();
        tokio::spawn(async move {
            let mut client = Client::connect(Protocol::Http1, address).await;
            for _ in 0..REQUESTS {
                // The client does not notice that a task is refused.
                assert_eq!(client.fetch("GET", "/").await.status, 200);
            }
        })
    });
    for client in join_all(clients).await {
        client.unwrap();
    }
    let all = (CONNECTIONS * REQUESTS) as u64;
    let stats = settled(server.background(), all).await;
    assert_eq!(stats.completed + stats.skipped, all, "{stats}");
    assert!(
        stats.completed > 0 && stats.skipped > 0,
        "no flood: {stats}"
    );
    assert_eq!(server.failures().count() as u64, stats.skipped);
    over.store(true, Ordering::Relaxed);
    let most = looking.join().unwrap();
    assert!(most <= LIMIT, "{most} waited");
}

/// Room is taken when a task is queued, before the response decides whether it runs.
#[tokio::test]
async fn a_task_that_is_skipped_leaves_its_room_to_others() {
    let timeline = Timeline::new();
    let app = Router::new().route("/in-vain", routing::get(adds_in_vain));
    let server = Server::run_with(Setup::DEFAULT, &timeline, app, |builder| {
        builder.max_pending(1, Overflow::Reject)
    })
    .await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    for _ in 0..5 {
        client.fetch("GET", "/in-vain").await;
    }
    let skipped = server.failures().all();
    assert_eq!(skipped.len(), 5);
    assert!(
        skipped
            .iter()
            .all(|failure| failure.kind() == FailureKind::Skipped)
    );
    all([server.background().spawn(timeline.task("let in"))]).await;
}

// How many tasks wait in all: more hold their response back.

/// Adds `count` tasks that end when they are told to.
async fn adds(
    Path((name, count)): Path<(String, usize)>,
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
) -> &'static str {
    let name: &'static str = name.leak();
    (0..count).for_each(|_| tasks.add_task(timeline.waiting(name)));
    timeline.mark(format!("{name} handled"));
    "ok"
}

async fn adds_always(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    tasks.add_task(timeline.task("always").always());
    tasks.add_task(timeline.task("not always"));
    timeline.mark("always handled");
}

async fn adds_in_vain(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> StatusCode {
    tasks.add_task(timeline.task("in vain"));
    StatusCode::NOT_FOUND
}

/// A server that runs one list at once and lets `room` tasks wait. One task runs, and `room` tasks
/// wait.
async fn full_server(setup: Setup, timeline: &Timeline, room: usize) -> Server {
    let app = Router::new()
        .route("/add/{name}/{count}", routing::get(adds))
        .route("/always", routing::get(adds_always))
        .route("/in-vain", routing::get(adds_in_vain));
    let server = Server::run_with(setup, timeline, app, move |builder| {
        let builder = builder.max_concurrent(1).drain_timeout(LONG_ENOUGH);
        builder.max_pending(room, Overflow::Wait)
    })
    .await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/add/running/1").await;
    timeline.reached("running").await;
    client.fetch("GET", &format!("/add/waiting/{room}")).await;
    server
}

/// The drain timeout: long enough for every task that can finish.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// Long enough for a response that is not held back.
const A_WHILE: Duration = Duration::from_millis(30);

/// Fetches, and marks `<name> answered`.
fn fetch(server: &Server, protocol: Protocol, timeline: &Timeline, name: &str, count: usize) {
    let (address, timeline, name) = (server.address(), timeline.clone(), name.to_owned());
    tokio::spawn(async move {
        let mut client = Client::connect(protocol, address).await;
        let response = client.fetch("GET", &format!("/add/{name}/{count}")).await;
        assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
        timeline.mark(format!("{name} answered"));
    });
}

fn let_all_end(timeline: &Timeline, names: &[&str]) {
    for name in names {
        timeline.mark(format!("{name} may end"));
    }
}

/// P-LIMIT-7
#[tokio::test]
async fn a_response_waits_until_there_is_room_for_its_tasks() {
    on_every_setup(async |setup| {
        for protocol in Protocol::ALL {
            let timeline = Timeline::new();
            let server = full_server(setup, &timeline, 1).await;
            fetch(&server, protocol, &timeline, "late", 1);
            timeline.reached("late handled").await;
            timeline.stays_without("late answered", A_WHILE).await;
            let_all_end(&timeline, &["running"]);
            let answered = timeline.reached("late answered").await;
            let room = timeline.reached("waiting").await;
            assert!(room.is_before(&answered), "{setup:?}");
            let_all_end(&timeline, &["waiting", "late"]);
            assert_eq!(settled(server.background(), 3).await.completed, 3);
        }
    })
    .await;
}

/// P-LIMIT-7
#[tokio::test]
async fn responses_that_wait_for_room_leave_in_order() {
    for serving in [Serving::Background, Serving::Layer] {
        // One thread, so that they are held back in the order in which they were handled.
        let flavour = Flavour::CurrentThread;
        let timeline = Timeline::new();
        let server = full_server(Setup { flavour, serving }, &timeline, 1).await;
        let names = ["first", "second", "third"];
        for name in names {
            fetch(&server, Protocol::Http1, &timeline, name, 1);
            timeline.reached(&format!("{name} handled")).await;
        }
        let mut runs = ["running", "waiting"].into_iter().chain(names);
        for name in names {
            let answered = format!("{name} answered");
            assert!(timeline.find(&answered).is_none(), "{timeline:?}");
            let_all_end(&timeline, &[runs.next().unwrap()]);
            timeline.reached(&answered).await;
        }
        runs.for_each(|name| let_all_end(&timeline, &[name]));
        assert_eq!(settled(server.background(), 5).await.completed, 5);
        let starts = timeline.names();
        let starts = starts.iter().filter(|name| names.contains(&name.as_str()));
        assert_eq!(starts.collect::<Vec<_>>(), names);
    }
}

/// P-LIMIT-8
#[tokio::test]
async fn a_client_that_leaves_before_there_is_room_has_its_tasks_skipped() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = full_server(setup, &timeline, 2).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/add/left/2").await;
        timeline.reached("left handled").await;
        fetch(&server, Protocol::Http1, &timeline, "next", 2);
        timeline.reached("next handled").await;
        client.leave();
        let failure = server.failure("left").await;
        assert_eq!(skip_reason(&failure), SkipReason::NoRoom);
        eventually("both are told", || server.failures().count() == 2).await;

        assert!(timeline.find("next answered").is_none());
        let_all_end(&timeline, &["running", "waiting"]);
        timeline.reached("next answered").await;
        let_all_end(&timeline, &["next"]);
        let stats = settled(server.background(), 7).await;
        assert_eq!((stats.completed, stats.skipped), (5, 2), "{stats}");
        assert!(timeline.find("left").is_none());
    })
    .await;
}

#[tokio::test]
async fn an_always_task_runs_even_if_its_client_leaves_before_there_is_room() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = full_server(setup, &timeline, 1).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/always").await;
        timeline.reached("always handled").await;
        client.leave();
        let failure = server.failure("not always").await;
        assert_eq!(skip_reason(&failure), SkipReason::NoRoom, "{setup:?}");
        let_all_end(&timeline, &["running", "waiting"]);
        timeline.reached("always done").await;
        let stats = settled(server.background(), 4).await;
        assert_eq!((stats.completed, stats.skipped), (3, 1), "{stats}");
    })
    .await;
}

#[tokio::test]
async fn a_response_whose_tasks_do_not_run_needs_no_room() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = full_server(setup, &timeline, 1).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        assert_eq!(client.fetch("GET", "/in-vain").await.status, 404);
        let response = client.fetch("GET", "/add/nothing/0").await;
        assert_eq!(response.status, 200);
        assert_eq!(server.background().stats().skipped, 1);
        assert!(timeline.find("running done").is_none());
        let_all_end(&timeline, &["running", "waiting"]);
        settled(server.background(), 3).await;
    })
    .await;
}

#[tokio::test]
async fn a_list_that_is_larger_than_the_room_waits_until_it_is_empty() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = full_server(setup, &timeline, 2).await;
        fetch(&server, Protocol::Http1, &timeline, "large", 5);
        timeline.reached("large handled").await;
        let_all_end(&timeline, &["running", "large"]);
        timeline.reached("waiting").await;
        // One of the two runs, and one waits.
        timeline.stays_without("large answered", A_WHILE).await;
        let_all_end(&timeline, &["waiting"]);
        timeline.reached("large answered").await;
        assert_eq!(settled(server.background(), 8).await.completed, 8);
        // It has left no less room than there was.
        fetch(&server, Protocol::Http1, &timeline, "after", 2);
        timeline.reached("after answered").await;
        let_all_end(&timeline, &["after"]);
        settled(server.background(), 10).await;
    })
    .await;
}

/// P-LIMIT-9
#[tokio::test]
async fn a_spawned_task_waits_for_no_room_and_leaves_less_of_it() {
    let timeline = Timeline::new();
    let server = full_server(Setup::DEFAULT, &timeline, 1).await;
    let background = server.background().clone();
    let spawned = [1, 2].map(|_| background.spawn(timeline.waiting("spawned")));
    assert_eq!(background.stats().pending, 3);
    fetch(&server, Protocol::Http1, &timeline, "late", 1);
    timeline.reached("late handled").await;
    let_all_end(&timeline, &["running", "waiting"]);
    timeline.reached("spawned").await;
    // The other one waits.
    timeline.stays_without("late answered", A_WHILE).await;
    let_all_end(&timeline, &["spawned", "late"]);
    timeline.reached("late answered").await;
    all(spawned).await;
    assert_eq!(settled(&background, 5).await.completed, 5);
}

/// P-LIMIT-9
#[tokio::test]
async fn a_task_added_after_the_response_waits_for_no_room_and_leaves_less() {
    let timeline = Timeline::new();
    let (keep, mut kept) = mpsc::unbounded_channel();
    let keeps = async move |State(timeline): State<Timeline>, tasks: BackgroundTasks| {
        tasks.add_task(timeline.task("first"));
        keep.send(tasks).expect("the test waits for it");
    };
    let app = Router::new()
        .route("/keep", routing::get(keeps))
        .route("/add/{name}/{count}", routing::get(adds));
    let server = Server::run_with(Setup::DEFAULT, &timeline, app, |builder| {
        builder.max_concurrent(1).max_pending(1, Overflow::Wait)
    })
    .await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/keep").await;
    timeline.reached("first done").await;
    let kept = kept.recv().await.expect("a list");
    client.fetch("GET", "/add/running/1").await;
    timeline.reached("running").await;

    kept.add_task(timeline.waiting("added"));
    kept.add_task(timeline.waiting("added"));
    assert_eq!(server.background().stats().pending, 2);
    fetch(&server, Protocol::Http1, &timeline, "late", 1);
    timeline.reached("late handled").await;
    let_all_end(&timeline, &["running"]);
    timeline.reached("added").await;
    // The other one waits.
    timeline.stays_without("late answered", A_WHILE).await;
    let_all_end(&timeline, &["added", "late"]);
    timeline.reached("late answered").await;
    assert_eq!(settled(server.background(), 5).await.completed, 5);
}

#[tokio::test]
async fn a_shutdown_lets_responses_that_wait_go_on() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = full_server(setup, &timeline, 1).await;
        fetch(&server, Protocol::Http1, &timeline, "late", 1);
        timeline.reached("late handled").await;
        let address = server.address();
        server.begin_stop();
        let refused = || std::net::TcpStream::connect(address).is_err();
        eventually("it stops", refused).await;
        assert!(timeline.find("late answered").is_none());
        let_all_end(&timeline, &["running", "waiting", "late"]);
        timeline.reached("late answered").await;
        let report = server.stopped().await;
        assert_eq!(report.stats().completed, 3, "{setup:?} {report}");
        assert!(report.is_clean());
    })
    .await;
}

#[tokio::test]
async fn a_shutdown_names_the_tasks_of_responses_that_wait_in_vain() {
    let timeline = Timeline::new();
    let server = full_server(Setup::DEFAULT, &timeline, 1).await;
    fetch(&server, Protocol::Http1, &timeline, "late", 1);
    timeline.reached("late handled").await;
    let report = server.stop().await;
    let stats = report.stats();
    assert_eq!((stats.accepted, stats.aborted), (3, 3), "{report}");
    assert!(is_balanced(&stats));
    let names = report.unfinished().iter().map(|task| task.task().name());
    assert_eq!(names.collect::<Vec<_>>(), ["running", "waiting", "late"]);
}

/// Adds a task that takes room until the client has left.
async fn adds_in_an_endless_response(
    State(timeline): State<Timeline>,
    tasks: BackgroundTasks,
) -> Body {
    tasks.add_task(timeline.task("endless"));
    let first = stream::iter([Ok::<_, Infallible>("first")]);
    Body::from_stream(first.chain(stream::pending()))
}

/// `axum::serve` waits for a response that waits for another one, whose client reads for ever.
#[tokio::test]
async fn the_end_of_a_shutdown_releases_responses_that_wait_for_room() {
    let timeline = Timeline::new();
    let setup = Setup {
        flavour: Flavour::Workers(2),
        serving: Serving::Layer,
    };
    let app = Router::new()
        .route("/endless", routing::get(adds_in_an_endless_response))
        .route("/add/{name}/{count}", routing::get(adds));
    let server = Server::run_with(setup, &timeline, app, |builder| {
        let builder = builder.drain_timeout(Duration::from_millis(100));
        builder.max_pending(1, Overflow::Wait)
    })
    .await;
    let mut endless = Http1::connect(server.address()).await;
    endless.start("GET", "/endless").await;
    assert_eq!(endless.head().await.status, 200);
    fetch(&server, Protocol::Http1, &timeline, "late", 1);
    timeline.reached("late handled").await;

    server.begin_stop();
    let report = server.background().shutdown().await;
    assert_eq!(report.stats().aborted, 2, "{report}");
    timeline.reached("late answered").await;
    endless.leave();
    server.stopped().await;
}

#[post("/pay", detach, background = timeline.task("receipt"))]
async fn pay(State(timeline): State<Timeline>) {
    timeline.mark("paying");
    timeline.reached("paid").await;
}

/// The answer is not the handler's, so it decides nothing about the handler's tasks.
#[tokio::test]
async fn a_detached_handler_keeps_its_tasks_after_a_timeout_has_answered() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, A_WHILE);
        let app = routes![pay].layer(timeout);
        let server = Server::run_with(setup, &timeline, app, |builder| {
            builder.max_pending(1, Overflow::Wait)
        })
        .await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        assert_eq!(client.fetch("POST", "/pay").await.status, 408);
        timeline.mark("paid");
        let stats = settled(server.background(), 1).await;
        assert_eq!((stats.completed, stats.skipped), (1, 0), "{setup:?}");
    })
    .await;
}

// All limits together.

/// A key, a name, a place and room are all short: a task that holds one of them waits for others.
#[tokio::test(start_paused = true)]
async fn with_every_limit_short_at_once_every_task_ends() {
    /// Fails once in a while.
    #[derive(Clone)]
    struct Short(u32);

    impl Task for Short {
        const DEF: &'static TaskDef = &TaskDef::new("short")
            .max_concurrent(2)
            .max_per_key(1)
            .retries(3)
            .backoff(Backoff::fixed(SECOND));

        async fn run(self, cx: TaskContext) -> TaskResult {
            tokio::time::sleep(SECOND).await;
            if cx.attempt() <= self.0 % 3 {
                Err("no luck".into())
            } else {
                Ok(())
            }
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }

        fn key(&self) -> Option<String> {
            Some((self.0 % 4).to_string())
        }
    }

    const LISTS: u32 = 40;

    for places in [1, 2, 3] {
        let (background, _) = background(|builder| {
            let builder = builder.max_concurrent(places);
            builder.drain_timeout(3_600 * SECOND)
        });
        let diary = Diary::begin();
        let handles: Vec<_> = (0..LISTS)
            .map(|n| background.spawn(Short(n).delay(SECOND * (n % 2))))
            .collect();
        for n in 0..LISTS {
            let members = BackgroundTasks::concurrent()
                .with_task(Short(n))
                .with_task(tasks![Short(n + 1), diary.task("nested", SECOND)])
                .with_task(diary.task("member", SECOND));
            let list = tasks![Short(n + 2), members, diary.task("last", SECOND)];
            respond_with(&background, list).await;
        }
        let report = background.shutdown().await;
        assert!(report.is_clean(), "{places} places: {report}");
        all(handles).await;
        assert_eq!(report.stats().completed, u64::from(LISTS) * 7);
        assert_eq!(diary.times("last").len() as u32, LISTS);
    }
}

// The time of a run.

/// P-TIMEOUT-1
#[tokio::test(start_paused = true)]
async fn the_default_timeout_is_for_tasks_that_set_none() {
    visits!(
        Declared,
        TaskDef::new("declared").timeout(Duration::from_millis(100))
    );
    visits!(Endless, TaskDef::new("endless").timeout(Duration::MAX));

    let (background, _) = background(|builder| builder.default_timeout(SECOND / 2));
    let visits = Visits::begin();
    let begun = Instant::now();
    for (task, ends_after) in [
        (OneByOne(visits.with_key(1)).into_task(), Some(SECOND / 2)),
        (visits.diary.task("one-off", SECOND), Some(SECOND / 2)),
        (Declared(visits.with_key(2)).into_task(), Some(SECOND / 10)),
        (Endless(visits.with_key(3)).into_task(), None),
        (OneByOne(visits.with_key(4)).timeout(Duration::MAX), None),
        (OneByOne(visits.with_key(5)).timeout(2 * SECOND), None),
    ] {
        let before = begun.elapsed();
        let ended = within("the outcome", background.spawn(task)).await;
        let kind = ended.map_err(|failure| failure.kind());
        let took = begun.elapsed() - before;
        match ends_after {
            Some(timeout) => assert_eq!((kind, took), (Err(FailureKind::Timeout), timeout)),
            None => assert_eq!((kind, took), (Ok(()), SECOND)),
        }
    }
}

// No limit of zero.

/// P-BUILD-1, P-BUILD-4
#[test]
fn every_limit_of_zero_is_a_problem_of_the_build() {
    let built = Background::builder()
        .max_concurrent(0)
        .max_pending(0, Overflow::Wait)
        .max_blocking(0)
        .isolated(0)
        .default_timeout(Duration::ZERO)
        .build();
    let error = built.unwrap_err();
    let problems: Vec<String> = error.problems().collect();
    let settings = [
        "max_concurrent",
        "max_pending",
        "max_blocking",
        "isolated",
        "default_timeout",
    ];
    assert_eq!(problems.len(), settings.len(), "{error}");
    for (problem, setting) in problems.iter().zip(settings) {
        assert!(
            problem.starts_with(&format!("`{setting}` is zero")),
            "{problem}"
        );
    }
}

/// The future of the aborted task may still be there for a while.
#[tokio::test]
async fn an_aborted_task_takes_up_no_limit() {
    let background = Background::builder()
        .max_concurrent(1)
        .max_pending(1, Overflow::Reject)
        .build()
        .unwrap();
    background.spawn(named("runs", std::future::pending::<()>()));
    let running = || background.stats().running == 1;
    eventually("the first runs", running).await;
    let waits = background.spawn(named("waits", async {}));
    waits.abort();
    assert_eq!(waits.await.unwrap_err().kind(), FailureKind::Aborted);
    background.spawn(named("next", async {}));
    let stats = background.stats();
    assert_eq!((stats.pending, stats.skipped), (1, 0), "{stats}");
}
