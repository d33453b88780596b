//! Keys that have as many tasks as they may: which task is refused, replaced or ignored, in production and in
//! a recorder.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bg_runtime::{
    Background, BackgroundBuilder, FailureKind, OnFull, Overflow, SkipReason, Task, TaskContext,
    TaskDef, TaskExt, TaskHandle, TaskResult, background_task, tasks, testing::Recorder,
};
use tests::{
    Diary, Timeline, eventually,
    tasks::{Failures, respond_with, settled, skip_reason},
    within,
};
use tokio::sync::Semaphore;

const SECOND: Duration = Duration::from_secs(1);

/// The numbers of the tasks that ran, each of which ends when it may.
#[derive(Clone)]
struct Desk {
    ran: Arc<Mutex<Vec<u32>>>,
    may_end: Arc<Semaphore>,
}

impl Desk {
    fn new() -> Self {
        Self {
            ran: Arc::default(),
            may_end: Arc::new(Semaphore::new(0)),
        }
    }

    async fn serve(self, number: u32) {
        self.ran.lock().unwrap().push(number);
        self.may_end.acquire().await.unwrap().forget();
    }

    fn let_all_end(&self) {
        self.may_end.add_permits(1_000);
    }

    fn ran(&self) -> Vec<u32> {
        self.ran.lock().unwrap().clone()
    }
}

#[background_task(name = "full.rejects", key = key, max_unfinished_per_key = 1)]
async fn rejects(key: &str, number: u32, #[state] desk: Desk) {
    let _ = key;
    desk.serve(number).await;
}

#[background_task(
    name = "full.replaces",
    key = key,
    max_per_key = 1,
    max_pending_per_key = 1,
    on_full = replace
)]
async fn replaces(key: &str, number: u32, #[state] desk: Desk) {
    let _ = key;
    desk.serve(number).await;
}

#[background_task(
    name = "full.newest",
    key = key,
    max_per_key = 1,
    max_unfinished_per_key = 2,
    on_full = replace
)]
async fn newest(key: &str, number: u32, #[state] desk: Desk) {
    let _ = key;
    desk.serve(number).await;
}

#[background_task(name = "full.ignores", key = key, max_unfinished_per_key = 1, on_full = ignore)]
async fn ignores(key: &str, number: u32, #[state] desk: Desk) {
    let _ = key;
    desk.serve(number).await;
}

/// A `Background` with these settings, whose failures are kept.
fn background(
    settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder,
) -> (Background, Desk, Failures) {
    let desk = Desk::new();
    let state = desk.clone();
    let (background, failures) = tests::tasks::background(|builder| settings(builder.state(state)));
    (background, desk, failures)
}

async fn skipped(handle: TaskHandle) -> SkipReason {
    let ended = within("the outcome", handle).await;
    skip_reason(&ended.expect_err("it is skipped"))
}

/// P-LIMIT-10
#[tokio::test]
async fn a_task_beyond_max_unfinished_per_key_is_refused() {
    let (background, desk, failures) = background(|builder| builder);
    let first = background.spawn(Rejects::new("ada", 1));
    eventually("it runs", || desk.ran() == [1]).await;
    let second = background.spawn(Rejects::new("ada", 2));
    let refused = within("the outcome", second).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Rejected);
    assert_eq!(
        refused.error().to_string(),
        "`max_unfinished_per_key` is reached: no more than 1 with the key `ada` may wait and run together"
    );
    assert_eq!(failures.count(), 1);
    let other = background.spawn(Rejects::new("grace", 3));
    desk.let_all_end();
    for handle in [first, other] {
        within("the outcome", handle).await.unwrap();
    }
    within("the next", background.spawn(Rejects::new("ada", 4)))
        .await
        .unwrap();
    assert_eq!(background.stats().skipped, 1);
}

/// P-LIMIT-10
#[tokio::test]
async fn a_task_that_waits_counts_towards_max_unfinished_per_key() {
    let (background, desk, _) = background(|builder| builder);
    desk.let_all_end();
    let first = background.spawn(Rejects::new("ada", 1).delay(SECOND));
    let second = within("the outcome", background.spawn(Rejects::new("ada", 2))).await;
    assert_eq!(second.unwrap_err().kind(), FailureKind::Rejected);
    // An outcome makes room, before the future is dropped.
    first.abort();
    let third = background.spawn(Rejects::new("ada", 3));
    within("the outcome", third).await.unwrap();
    assert_eq!(desk.ran(), [3]);
}

/// P-LIMIT-11
#[tokio::test]
async fn of_a_burst_for_one_key_the_newest_runs() {
    let (background, desk, failures) = background(|builder| builder);
    let first = background.spawn(Replaces::new("ada", 1));
    eventually("it runs", || desk.ran() == [1]).await;
    let mut waiting = background.spawn(Replaces::new("ada", 2));
    for number in 3..100 {
        let newer = background.spawn(Replaces::new("ada", number));
        let replaced = std::mem::replace(&mut waiting, newer);
        assert_eq!(skipped(replaced).await, SkipReason::Replaced);
        assert_eq!(background.stats().pending, 1);
    }
    desk.let_all_end();
    for handle in [first, waiting] {
        within("the outcome", handle).await.unwrap();
    }
    assert_eq!(desk.ran(), [1, 99]);
    assert_eq!(failures.count(), 0, "no hook hears of it");
    assert_eq!(settled(&background, 99).await.skipped, 97);
}

/// P-LIMIT-11
#[tokio::test]
async fn a_task_that_runs_is_not_replaced() {
    let (background, desk, failures) = background(|builder| builder);
    let first = background.spawn(Newest::new("ada", 1));
    eventually("it runs", || desk.ran() == [1]).await;
    let second = background.spawn(Newest::new("ada", 2));
    let third = background.spawn(Newest::new("ada", 3));
    assert_eq!(skipped(second).await, SkipReason::Replaced);
    desk.let_all_end();
    for handle in [first, third] {
        within("the outcome", handle).await.unwrap();
    }
    assert_eq!(desk.ran(), [1, 3]);
    assert_eq!(failures.count(), 0);
}

/// P-LIMIT-11
#[tokio::test]
async fn where_none_waits_that_could_be_replaced_the_new_task_is_refused() {
    /// Two of a key may run, and none may wait beside them.
    struct Runs(Desk, u32);

    impl Task for Runs {
        const DEF: &'static TaskDef = &TaskDef::new("full.runs")
            .max_unfinished_per_key(2)
            .on_full(OnFull::Replace);

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.serve(self.1).await;
            Ok(())
        }

        fn key(&self) -> Option<String> {
            Some("ada".to_owned())
        }
    }

    let (background, desk, failures) = background(|builder| builder);
    let running = [1, 2].map(|number| background.spawn(Runs(desk.clone(), number)));
    eventually("they run", || desk.ran().len() == 2).await;
    let refused = within("the outcome", background.spawn(Runs(desk.clone(), 3))).await;
    assert_eq!(refused.unwrap_err().kind(), FailureKind::Rejected);
    assert_eq!(failures.count(), 1);
    desk.let_all_end();
    for handle in running {
        within("the outcome", handle).await.unwrap();
    }
}

/// P-LIMIT-11
#[tokio::test]
async fn a_task_that_waits_for_another_run_can_be_replaced() {
    #[derive(Clone)]
    struct Fails(Desk, u32);

    impl Task for Fails {
        const DEF: &'static TaskDef = &TaskDef::new("full.fails")
            .max_pending_per_key(1)
            .on_full(OnFull::Replace)
            .retries(1)
            .backoff(bg_runtime::Backoff::fixed(Duration::from_secs(3_600)));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.serve(self.1).await;
            if self.1 == 1 {
                return Err("no luck".into());
            }
            Ok(())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }

        fn key(&self) -> Option<String> {
            Some("ada".to_owned())
        }
    }

    let (background, desk, failures) = background(|builder| builder);
    desk.let_all_end();
    let first = background.spawn(Fails(desk.clone(), 1));
    eventually("it failed once", || failures.count() == 1).await;
    let second = background.spawn(Fails(desk.clone(), 2));
    let replaced = within("the outcome", first).await.unwrap_err();
    assert_eq!(skip_reason(&replaced), SkipReason::Replaced);
    assert_eq!(replaced.attempt(), 1);
    within("the outcome", second).await.unwrap();
    assert_eq!(failures.count(), 1, "of the run that failed");
}

/// P-LIMIT-11
#[tokio::test(start_paused = true)]
async fn the_list_of_a_replaced_task_goes_on_at_once() {
    let (background, desk, failures) = background(|builder| builder);
    let diary = Diary::begin();
    drop(background.spawn(Replaces::new("ada", 1)));
    eventually("it runs", || desk.ran() == [1]).await;
    let list = tasks![Replaces::new("ada", 2), diary.task("behind", SECOND)];
    respond_with(&background, list).await;
    assert!(diary.lines().is_empty());
    drop(background.spawn(Replaces::new("ada", 3)));
    eventually("it runs", || diary.lines() == ["0s behind"]).await;
    desk.let_all_end();
    let stats = settled(&background, 4).await;
    assert_eq!((stats.completed, stats.skipped), (3, 1), "{stats}");
    assert_eq!(desk.ran(), [1, 3]);
    assert_eq!(failures.count(), 0);
}

/// P-LIMIT-11
///
/// Its room in `max_pending` is that of the task that it replaces.
#[tokio::test]
async fn a_replaced_task_makes_room_for_the_new_one_in_max_pending() {
    let (background, desk, failures) =
        background(|builder| builder.max_pending(1, Overflow::Reject));
    let first = background.spawn(Replaces::new("ada", 1));
    eventually("it runs", || desk.ran() == [1]).await;
    let second = background.spawn(Replaces::new("ada", 2));
    let third = background.spawn(Replaces::new("ada", 3));
    assert_eq!(skipped(second).await, SkipReason::Replaced);
    desk.let_all_end();
    for handle in [first, third] {
        within("the outcome", handle).await.unwrap();
    }
    assert_eq!(failures.count(), 0);
}

/// P-LIMIT-11
///
/// Their futures would fill the memory that the limit is to protect.
#[tokio::test]
async fn replaced_tasks_leave_the_line_for_a_slot() {
    struct Counted(Arc<()>);

    impl Task for Counted {
        const DEF: &'static TaskDef = &TaskDef::new("full.counted")
            .max_pending_per_key(1)
            .on_full(OnFull::Replace);

        async fn run(self, _: TaskContext) -> TaskResult {
            drop(self.0);
            Ok(())
        }

        fn key(&self) -> Option<String> {
            Some("ada".to_owned())
        }
    }

    let (background, desk, _) = background(|builder| builder.max_concurrent(1));
    drop(background.spawn(Rejects::new("ada", 1)));
    eventually("it runs", || desk.ran() == [1]).await;
    let alive = Arc::new(());
    for _ in 0..100 {
        drop(background.spawn(Counted(alive.clone())));
    }
    eventually("the others are gone", || Arc::strong_count(&alive) == 2).await;
    desk.let_all_end();
    assert_eq!(settled(&background, 101).await.skipped, 99);
}

/// P-LIMIT-12
#[tokio::test]
async fn a_duplicate_is_ignored_and_its_list_goes_on() {
    let (background, desk, failures) = background(|builder| builder);
    let timeline = Timeline::new();
    let first = background.spawn(Ignores::new("ada", 1));
    eventually("it runs", || desk.ran() == [1]).await;
    let second = background.spawn(Ignores::new("ada", 2));
    assert_eq!(skipped(second).await, SkipReason::Duplicate);
    let list = tasks![Ignores::new("ada", 3), timeline.task("behind")];
    respond_with(&background, list).await;
    timeline.reached("behind done").await;
    desk.let_all_end();
    within("the outcome", first).await.unwrap();
    let stats = settled(&background, 4).await;
    assert_eq!((stats.completed, stats.skipped), (2, 2), "{stats}");
    assert_eq!(failures.count(), 0, "no hook hears of it");
    assert_eq!(desk.ran(), [1]);
}

/// P-LIMIT-13
#[tokio::test]
async fn a_recorder_refuses_replaces_and_ignores_as_production_does() {
    let recorder = Recorder::from_builder(Background::builder().state(Desk::new())).unwrap();
    for number in 1..4 {
        drop(recorder.spawn(Rejects::new("ada", number)));
        drop(recorder.spawn(Replaces::new("ada", number)));
        drop(recorder.spawn(Newest::new("ada", number)));
        drop(recorder.spawn(Ignores::new("ada", number)));
    }
    let kept = [
        recorder
            .queued::<Rejects>()
            .iter()
            .map(|task| task.number)
            .collect::<Vec<_>>(),
        recorder
            .queued::<Replaces>()
            .iter()
            .map(|task| task.number)
            .collect(),
        recorder
            .queued::<Newest>()
            .iter()
            .map(|task| task.number)
            .collect(),
        recorder
            .queued::<Ignores>()
            .iter()
            .map(|task| task.number)
            .collect(),
    ];
    assert_eq!(kept, [vec![1], vec![3], vec![2, 3], vec![1]]);
    assert_eq!(recorder.stats().skipped, 2 + 2 + 1 + 2);
}

#[tokio::test]
async fn an_assertion_about_a_replaced_task_says_that_it_was_replaced() {
    #[derive(Debug, Clone, PartialEq)]
    struct Indexes(u32);

    impl Task for Indexes {
        const DEF: &'static TaskDef = &TaskDef::new("full.indexes")
            .max_pending_per_key(1)
            .on_full(OnFull::Replace);

        async fn run(self, _: TaskContext) -> TaskResult {
            Ok(())
        }

        fn key(&self) -> Option<String> {
            Some("ada".to_owned())
        }

        fn arguments(&self) -> Option<impl std::fmt::Debug> {
            Some(self.0)
        }
    }

    let recorder = Recorder::new();
    for number in [1, 2] {
        drop(recorder.spawn(Indexes(number)));
    }
    recorder.assert_queued(Indexes(2));
    let asserted = std::panic::AssertUnwindSafe(|| recorder.assert_queued(Indexes(1)));
    let message = std::panic::catch_unwind(asserted).unwrap_err();
    let message = message.downcast_ref::<String>().expect("a text");
    assert!(
        message.contains("full.indexes(1): a newer task of its key replaced it"),
        "{message}"
    );
}
