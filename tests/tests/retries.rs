//! Tasks that run again: when, how often, what is reported, and what waits with them.

use std::{
    collections::HashSet,
    future::{IntoFuture, pending},
    ops::RangeInclusive,
    process::Command,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use axum::{Router, routing};
use bg_runtime::{
    Background, BackgroundTasks, Backoff, BoxTask, FailureKind, Stats, Task, TaskContext, TaskDef,
    TaskExt, TaskFailure, TaskInfo, TaskResult, named, tasks,
};
use tests::{
    Diary, Http1, Timeline, eventually, logs,
    tasks::{Failures, is_balanced, respond_with, settled},
    within,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Fails `failures` times before it succeeds. One second lies between two runs.
#[derive(Debug, Clone)]
struct Flaky {
    diary: Diary,
    failures: u32,
    how: FailureKind,
}

impl Flaky {
    fn new(diary: &Diary, failures: u32) -> Self {
        Self::how(diary, failures, FailureKind::Error)
    }

    fn how(diary: &Diary, failures: u32, how: FailureKind) -> Self {
        Self {
            diary: diary.clone(),
            failures,
            how,
        }
    }
}

impl Task for Flaky {
    const DEF: &'static TaskDef = &TaskDef::new("flaky")
        .timeout(Duration::from_secs(5))
        .retries(3)
        .backoff(Backoff::fixed(SECOND));

    async fn run(self, cx: TaskContext) -> TaskResult {
        let attempt = cx.attempt();
        self.diary.note(format!("run {attempt}"));
        if attempt > self.failures {
            return Ok(());
        }
        match self.how {
            FailureKind::Panic => panic!("out of luck in run {attempt}"),
            FailureKind::Timeout => pending().await,
            _ => Err(format!("no luck in run {attempt}").into()),
        }
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn arguments(&self) -> Option<impl std::fmt::Debug> {
        Some(format!("{} failures", self.failures))
    }
}

/// A `Background` whose failures are kept.
fn background() -> (Background, Failures) {
    tests::tasks::background(|builder| builder)
}

fn names(tasks: &[TaskInfo]) -> Vec<&'static str> {
    tasks.iter().map(TaskInfo::name).collect()
}

/// P-RETRY-1
#[tokio::test(start_paused = true)]
async fn a_task_runs_again_until_a_run_succeeds() {
    let (background, _) = background();
    let diary = Diary::begin();
    background.spawn(Flaky::new(&diary, 2)).await.unwrap();
    assert_eq!(diary.lines(), ["0s run 1", "1s run 2", "2s run 3"]);
    let stats = background.stats();
    assert_eq!((stats.completed, stats.failed), (1, 0), "{stats}");
    assert_eq!(stats.retries, 2, "the runs after the first");
}

/// P-RETRY-4
#[tokio::test(start_paused = true)]
async fn each_failed_run_is_reported_and_only_the_last_is_the_outcome() {
    let (background, failures) = background();
    let diary = Diary::begin();
    let handle = background.spawn(Flaky::new(&diary, 9));
    let id = handle.id();
    let outcome = handle.await.unwrap_err();
    assert_eq!(
        diary.lines(),
        ["0s run 1", "1s run 2", "2s run 3", "3s run 4"]
    );

    let told = failures.all();
    let seen = told.iter().map(|run| (run.attempt(), run.will_retry()));
    let expected = [(1, true), (2, true), (3, true), (4, false)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    for (attempt, run) in (1..).zip(&told) {
        assert_eq!(run.id(), id);
        assert_eq!(run.kind(), FailureKind::Error);
        assert_eq!(run.error().to_string(), format!("no luck in run {attempt}"));
        assert_eq!(run.arguments().as_deref(), Some("\"9 failures\""));
    }
    assert!(
        told[0]
            .to_string()
            .ends_with("(attempt 1, it will run again)")
    );
    let waits = told.iter().map(TaskFailure::retry_in);
    let second = Some(Duration::from_secs(1));
    assert_eq!(waits.collect::<Vec<_>>(), [second, second, second, None]);
    assert_eq!((outcome.attempt(), outcome.will_retry()), (4, false));
    let stats = background.stats();
    assert_eq!((stats.failed, stats.retries), (1, 3), "{stats}");
}

/// P-RETRY-1
#[tokio::test(start_paused = true)]
async fn panics_and_timeouts_are_followed_by_another_run_too() {
    let (background, failures) = background();
    let diary = Diary::begin();
    let panics = Flaky::how(&diary, 1, FailureKind::Panic);
    background.spawn(panics).await.unwrap();
    assert_eq!(diary.lines(), ["0s run 1", "1s run 2"]);

    let diary = Diary::begin();
    let stalls = Flaky::how(&diary, 1, FailureKind::Timeout);
    background.spawn(stalls).await.unwrap();
    assert_eq!(diary.lines(), ["0s run 1", "6s run 2"], "five for the run");

    let kinds = failures.all();
    let kinds = kinds.iter().map(|run| (run.kind(), run.will_retry()));
    let expected = [(FailureKind::Panic, true), (FailureKind::Timeout, true)];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
}

/// Counts at the moments that only the task and the hook see, and between two runs.
///
/// P-RETRY-5
#[tokio::test(start_paused = true)]
async fn a_task_that_waits_for_its_next_run_is_pending() {
    #[derive(Clone)]
    struct Looks(Background, Seen);

    type Seen = Arc<Mutex<Vec<(&'static str, Stats)>>>;

    impl Task for Looks {
        const DEF: &'static TaskDef = &TaskDef::new("looks")
            .retries(1)
            .backoff(Backoff::fixed(SECOND));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.1.lock().unwrap().push(("runs", self.0.stats()));
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let seen = Seen::default();
    let (told, looking) = (seen.clone(), Arc::new(OnceLock::new()));
    let handle: Arc<OnceLock<Background>> = looking.clone();
    let background = Background::builder()
        .on_error(move |_| {
            let stats = handle.get().unwrap().stats();
            told.lock().unwrap().push(("told", stats));
        })
        .build()
        .unwrap();
    looking.set(background.clone()).unwrap();

    let handle = background.spawn(Looks(background.clone(), seen.clone()));
    seen.lock().unwrap().push(("spawned", background.stats()));
    tokio::time::sleep(SECOND / 2).await;
    seen.lock().unwrap().push(("waits", background.stats()));
    handle.await.unwrap_err();

    let seen = seen.lock().unwrap();
    assert!(seen.iter().all(|(_, stats)| is_balanced(stats)), "{seen:?}");
    let counts = |(when, stats): &(&'static str, Stats)| {
        (
            *when,
            stats.pending,
            stats.running,
            stats.failed,
            stats.retries,
        )
    };
    let expected = [
        ("spawned", 1, 0, 0, 0),
        ("runs", 0, 1, 0, 0),
        ("told", 1, 0, 0, 0),
        ("waits", 1, 0, 0, 0),
        ("runs", 0, 1, 0, 1),
        ("told", 0, 0, 1, 1),
    ];
    assert_eq!(seen.iter().map(counts).collect::<Vec<_>>(), expected);
}

/// Fails as often as it may, with waits that grow.
#[derive(Clone)]
struct Patient(Diary);

impl Task for Patient {
    const DEF: &'static TaskDef = &TaskDef::new("patient")
        .retries(5)
        .backoff(Backoff::exponential(SECOND, Duration::from_secs(5)));

    async fn run(self, _: TaskContext) -> TaskResult {
        self.0.note("run");
        Err("no luck".into())
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

/// P-RETRY-2
#[tokio::test(start_paused = true)]
async fn waits_double_up_to_a_bound_and_differ_for_tasks_that_fail_together() {
    const BOUNDS: [RangeInclusive<u64>; 5] = [1..=2, 1..=4, 1..=5, 1..=5, 1..=5];

    let (background, _) = background();
    let diaries: Vec<Diary> = (0..50).map(|_| Diary::begin()).collect();
    let handles = diaries
        .iter()
        .map(|diary| background.spawn(Patient(diary.clone())));
    let handles: Vec<_> = handles.collect();
    for handle in handles {
        handle.await.unwrap_err();
    }

    let mut longest = [Duration::ZERO; 5];
    for diary in &diaries {
        let runs = diary.times("run");
        assert_eq!(runs.len(), 6);
        for (wait, pair) in runs.windows(2).enumerate() {
            let (took, bound) = (pair[1] - pair[0], &BOUNDS[wait]);
            let (least, most) = (*bound.start(), *bound.end());
            // A timer rings at the next full millisecond.
            let most = Duration::from_secs(most) + Duration::from_millis(1);
            assert!(
                took >= Duration::from_secs(least) && took <= most,
                "{took:?}"
            );
            longest[wait] = longest[wait].max(took);
        }
    }
    // Of fifty waits, one is in the upper half: 1 - 2^-50.
    assert!(longest[0] > SECOND * 3 / 2, "{longest:?}");
    assert!(longest[1] > SECOND * 5 / 2, "{longest:?}");
    assert!(longest[4] > SECOND * 3, "{longest:?}");
    let second_runs = diaries.iter().map(|diary| diary.times("run")[1]);
    let different: HashSet<_> = second_runs.collect();
    assert!(different.len() > 25, "{}", different.len());
}

/// P-RETRY-6
#[tokio::test(start_paused = true)]
async fn what_is_set_for_one_task_overrides_its_declaration_in_any_order() {
    const DELAY: Duration = Duration::from_secs(10);
    const TIMEOUT: Duration = Duration::from_secs(2);
    let orders: [fn(Flaky) -> BoxTask; 6] = [
        |task| task.retries(1).timeout(TIMEOUT).delay(DELAY),
        |task| task.retries(1).delay(DELAY).timeout(TIMEOUT),
        |task| task.timeout(TIMEOUT).retries(1).delay(DELAY),
        |task| task.timeout(TIMEOUT).delay(DELAY).retries(1),
        |task| task.delay(DELAY).retries(1).timeout(TIMEOUT),
        |task| task.delay(DELAY).timeout(TIMEOUT).retries(1),
    ];
    let (background, _) = background();
    for order in orders {
        let diary = Diary::begin();
        let task = order(Flaky::how(&diary, 9, FailureKind::Timeout));
        let failure = background.spawn(task).await.unwrap_err();
        // Two seconds for the run, one until the next.
        assert_eq!(diary.lines(), ["10s run 1", "13s run 2"]);
        assert_eq!(failure.error().to_string(), "it did not finish within 2s");
        assert_eq!(failure.attempt(), 2);
    }
}

/// P-RETRY-6
#[tokio::test(start_paused = true)]
async fn a_task_may_be_given_no_retries_or_more_than_declared() {
    let (background, _) = background();
    for (retries, runs) in [(0, 1), (2, 3), (7, 8)] {
        let diary = Diary::begin();
        let task = Flaky::new(&diary, 99).retries(retries);
        let failure = background.spawn(task).await.unwrap_err();
        assert_eq!(diary.lines().len(), runs);
        assert_eq!(failure.attempt() as usize, runs);
    }
}

/// P-RETRY-6
#[tokio::test(start_paused = true)]
async fn a_delay_comes_once_and_not_before_each_run() {
    let (background, _) = background();
    let diary = Diary::begin();
    let task = Flaky::new(&diary, 2).delay(Duration::from_secs(60));
    let handle = background.spawn(task);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(background.stats().pending, 1);
    handle.await.unwrap();
    assert_eq!(diary.lines(), ["60s run 1", "61s run 2", "62s run 3"]);
}

/// P-RETRY-3
#[tokio::test(start_paused = true)]
async fn the_tasks_behind_one_that_waits_for_its_next_run_wait_with_it() {
    let (background, failures) = background();
    let diary = Diary::begin();
    let next = diary.task("next", SECOND);
    respond_with(&background, tasks![Flaky::new(&diary, 2), next]).await;
    settled(&background, 2).await;
    let lines = ["0s run 1", "1s run 2", "2s run 3", "2s next"];
    assert_eq!(diary.lines(), lines);
    assert!(failures.all().iter().all(|run| run.skipped().is_empty()));
}

/// P-RETRY-4
#[tokio::test(start_paused = true)]
async fn only_the_last_failure_names_what_it_keeps_from_running() {
    let (background, failures) = background();
    let diary = Diary::begin();
    let list = tasks![
        Flaky::new(&diary, 9).retries(2),
        diary.task("second", SECOND),
        tasks![diary.task("third", SECOND)],
    ];
    respond_with(&background, list).await;
    let stats = settled(&background, 3).await;
    assert_eq!((stats.failed, stats.skipped), (1, 2), "{stats}");
    assert_eq!(diary.lines(), ["0s run 1", "1s run 2", "2s run 3"]);
    let told = failures.all();
    let skipped = told.iter().map(|run| names(run.skipped()));
    let expected = [vec![], vec![], vec!["second", "third"]];
    assert_eq!(skipped.collect::<Vec<_>>(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_after_errors_goes_on_after_the_last_run() {
    let (background, _) = background();
    let diary = Diary::begin();
    let list = tasks![Flaky::new(&diary, 9).retries(1), diary.task("next", SECOND)];
    respond_with(&background, list.continue_on_error()).await;
    let stats = settled(&background, 2).await;
    assert_eq!((stats.failed, stats.completed), (1, 1), "{stats}");
    assert_eq!(diary.lines(), ["0s run 1", "1s run 2", "1s next"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_in_a_concurrent_list_delays_only_what_is_behind_the_list() {
    let (background, _) = background();
    let diary = Diary::begin();
    let members = BackgroundTasks::concurrent()
        .with_task(Flaky::new(&diary, 2))
        .with_task(diary.task("beside", SECOND / 2));
    respond_with(&background, tasks![members, diary.task("behind", SECOND)]).await;
    settled(&background, 3).await;
    let lines = ["0s run 1", "0s beside", "1s run 2", "2s run 3", "2s behind"];
    assert_eq!(diary.lines(), lines);
}

/// Gives no copy of itself, or panics instead.
struct Unique(Diary, &'static str);

impl Task for Unique {
    const DEF: &'static TaskDef = &TaskDef::new("unique").retries(3);

    async fn run(self, _: TaskContext) -> TaskResult {
        self.0.note("run");
        Err("no luck".into())
    }

    fn try_clone(&self) -> Option<Self> {
        assert!(self.1.is_empty(), "{}", self.1);
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_copied_runs_once_and_a_warning_says_so() {
    logs::keep();
    let (background, failures) = background();
    let diary = Diary::begin();
    let handle = background.spawn(Unique(diary.clone(), ""));
    let failure = handle.await.unwrap_err();
    assert_eq!((failure.attempt(), failure.will_retry()), (1, false));
    let handle = background.spawn(Unique(diary.clone(), "no more of these"));
    assert_eq!(handle.await.unwrap_err().kind(), FailureKind::Error);
    let handle =
        background.spawn(named("one.off.retried", async { Err::<(), _>("no") }).retries(3));
    handle.await.unwrap_err();

    assert_eq!(diary.lines(), ["0s run", "0s run"]);
    assert_eq!(failures.count(), 3);
    assert_eq!(background.stats().retries, 0);
    for (text, warnings) in [
        ("was not the first call on it task.name=\"unique\"", 1),
        ("cloning it panicked: no more of these", 1),
        ("a one-off task runs once task.name=\"one.off.retried\"", 1),
    ] {
        let lines = logs::lines_with(text);
        assert_eq!(lines.len(), warnings, "{text}: {lines:?}");
        assert!(lines[0].contains("WARN"), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_copied_again_keeps_the_run_it_has_a_copy_for() {
    struct Twice(Diary, bool);

    impl Task for Twice {
        const DEF: &'static TaskDef = &TaskDef::new("copied.once")
            .retries(9)
            .backoff(Backoff::fixed(SECOND));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note("run");
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            (!self.1).then(|| Self(self.0.clone(), true))
        }
    }

    logs::keep();
    let (background, failures) = background();
    let diary = Diary::begin();
    let handle = background.spawn(Twice(diary.clone(), false));
    assert_eq!(handle.await.unwrap_err().attempt(), 2);
    assert_eq!(diary.lines(), ["0s run", "1s run"]);
    let last = failures.all().pop().unwrap();
    assert!(!last.will_retry());
    let mut warnings = logs::lines_with("task.name=\"copied.once\"");
    // Its two failures are logged as well.
    warnings.retain(|line| !line.contains("kind=error"));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("will not run again"), "{warnings:?}");
}

/// A copy is made only if there may be a run for it.
#[tokio::test(start_paused = true)]
async fn no_copy_is_made_for_the_last_run() {
    #[derive(Debug)]
    struct Counted(Diary);

    impl Task for Counted {
        const DEF: &'static TaskDef = &TaskDef::new("counted").retries(1);

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.note("run");
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            self.0.note("copy");
            Some(Self(self.0.clone()))
        }
    }

    let (background, _) = background();
    let diary = Diary::begin();
    background.spawn(Counted(diary.clone())).await.unwrap_err();
    let lines = diary.lines();
    let words = lines.iter().map(|line| line.split_once(' ').unwrap().1);
    assert_eq!(words.collect::<Vec<_>>(), ["copy", "run", "run"]);
}

#[tokio::test]
async fn a_synchronous_task_runs_again_too() {
    #[derive(Clone)]
    struct Sync(Diary);

    impl Task for Sync {
        const DEF: &'static TaskDef = &TaskDef::new("sync")
            .blocking()
            .retries(3)
            .backoff(Backoff::fixed(Duration::from_millis(1)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            let work = move || {
                self.0.note(format!("run {}", cx.attempt()));
                assert!(cx.attempt() != 1, "out of luck");
                if cx.attempt() < 3 {
                    Err("no luck")
                } else {
                    Ok(())
                }
            };
            Ok(tokio::task::spawn_blocking(work).await??)
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let (background, failures) = background();
    let diary = Diary::begin();
    background.spawn(Sync(diary.clone())).await.unwrap();
    let lines = diary.lines();
    let words = lines.iter().map(|line| line.split_once(' ').unwrap().1);
    assert_eq!(words.collect::<Vec<_>>(), ["run 1", "run 2", "run 3"]);
    assert_eq!(failures.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_aborted_while_it_waits_does_not_run_again() {
    let (background, failures) = background();
    let diary = Diary::begin();
    let handle = background.spawn(Flaky::new(&diary, 9));
    tokio::time::sleep(SECOND / 2).await;
    handle.abort();
    let failure = within("the outcome", handle).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    assert_eq!((failure.attempt(), failure.will_retry()), (1, false));
    assert_eq!(failure.arguments().as_deref(), Some("\"9 failures\""));
    tokio::time::sleep(HOUR).await;
    assert_eq!(diary.lines(), ["0s run 1"]);
    let kinds = failures.all();
    let kinds = kinds.iter().map(TaskFailure::kind);
    let expected = [FailureKind::Error, FailureKind::Aborted];
    assert_eq!(kinds.collect::<Vec<_>>(), expected);
    let stats = background.stats();
    assert_eq!((stats.aborted, stats.failed, stats.retries), (1, 0, 0));
}

/// A `Background` that gives its tasks `timeout` to finish.
fn draining(timeout: Duration) -> Background {
    let background = Background::builder().drain_timeout(timeout).build();
    background.expect("nothing to refuse")
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_runs_that_come_in_time() {
    let background = draining(10 * SECOND);
    let diary = Diary::begin();
    drop(background.spawn(Flaky::new(&diary, 2)));
    drop(background.spawn(diary.task("delayed", SECOND).delay(5 * SECOND)));
    tokio::time::sleep(SECOND / 2).await;
    let report = background.shutdown().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stats().completed, 2);
    assert_eq!(report.elapsed(), 11 * SECOND / 2, "until the last one ends");
    let lines = ["0s run 1", "1s run 2", "2s run 3", "5s delayed"];
    assert_eq!(diary.lines(), lines);
}

/// Comes back in an hour.
#[derive(Clone)]
struct Hourly(Diary);

impl Task for Hourly {
    const DEF: &'static TaskDef = &TaskDef::new("hourly")
        .retries(3)
        .backoff(Backoff::fixed(HOUR));

    async fn run(self, _: TaskContext) -> TaskResult {
        self.0.note("run");
        Err("no luck".into())
    }

    fn try_clone(&self) -> Option<Self> {
        Some(self.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_shutdown_aborts_unrun_shows_its_arguments_and_no_attempt() {
    let failures = Failures::default();
    let diary = Diary::begin();
    let background = Background::builder()
        .on_error(failures.hook(&Timeline::new()))
        .drain_timeout(SECOND)
        .build()
        .expect("nothing to refuse");
    let list = tasks![Hourly(diary.clone()), Flaky::new(&diary, 9)];
    respond_with(&background, list).await;
    tokio::time::sleep(SECOND / 2).await;
    background.shutdown().await;
    let unrun = failures.all().pop().expect("the last one told");
    assert_eq!(unrun.task().name(), "flaky");
    assert_eq!(unrun.kind(), FailureKind::Aborted);
    assert_eq!(unrun.attempt(), 0);
    assert_eq!(unrun.arguments().as_deref(), Some("\"9 failures\""));
}

/// P-SHUTDOWN-5
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_run_that_comes_too_late_and_names_it() {
    let background = draining(10 * SECOND);
    let diary = Diary::begin();
    let list = tasks![Hourly(diary.clone()), diary.task("behind", SECOND)];
    respond_with(&background, list).await;
    drop(background.spawn(diary.task("delayed", SECOND).delay(HOUR)));
    tokio::time::sleep(SECOND / 2).await;
    let report = background.shutdown().await;
    assert_eq!(report.elapsed(), Duration::ZERO, "nothing was in time");
    assert_eq!(diary.lines(), ["0s run"]);
    let stats = report.stats();
    assert_eq!((stats.aborted, stats.pending), (3, 0), "{stats}");

    let [hourly, behind, delayed] = report.unfinished() else {
        panic!("{report}");
    };
    assert_eq!(hourly.attempt(), 2, "the run that it waited for");
    assert_eq!(hourly.running_for(), None);
    for (task, name, end) in [
        (hourly, "hourly", "waiting for attempt 2 of 4"),
        (behind, "behind", "not started"),
        (delayed, "delayed", "not started"),
    ] {
        assert_eq!(task.task().name(), name);
        assert!(task.to_string().ends_with(end), "{task}");
    }
}

/// Its turn is not after the deadline, and the grace period is long enough for the run.
#[tokio::test(start_paused = true)]
async fn a_task_whose_turn_comes_with_the_deadline_of_a_shutdown_runs() {
    let background = draining(SECOND);
    let diary = Diary::begin();
    let on_time = diary.task("on time", SECOND / 2).delay(SECOND);
    let handle = background.spawn(on_time);
    let report = background.shutdown().await;
    handle.await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(diary.lines(), ["1s on time"]);
}

/// The rest of the list does not have to wait for a run that the shutdown does not wait for.
#[tokio::test(start_paused = true)]
async fn a_list_that_goes_on_after_errors_goes_on_while_a_shutdown_waits() {
    let background = draining(10 * SECOND);
    let diary = Diary::begin();
    let list = tasks![Hourly(diary.clone()), diary.task("behind", SECOND)];
    respond_with(&background, list.continue_on_error()).await;
    tokio::time::sleep(SECOND / 2).await;
    let report = background.shutdown().await;
    let stats = report.stats();
    assert_eq!((stats.aborted, stats.completed), (1, 1), "{report}");
    assert_eq!(diary.lines(), ["0s run", "0.5s behind"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_again_and_again_does_not_hold_a_shutdown_up() {
    let background = draining(10 * SECOND + SECOND / 2);
    let diary = Diary::begin();
    let endless = Flaky::new(&diary, u32::MAX).retries(u32::MAX);
    respond_with(&background, tasks![endless, diary.task("behind", SECOND)]).await;
    let report = background.shutdown().await;
    // The run after the eleventh would come at eleven seconds.
    assert_eq!(diary.lines().len(), 11);
    let took = report.elapsed();
    assert!(
        took > 9 * SECOND && took <= 10 * SECOND + SECOND / 2,
        "{took:?}"
    );
    assert_eq!(report.stats().aborted, 2);
    let text = report.to_string();
    assert!(
        text.contains("waiting for attempt 12 of 4294967295"),
        "{text}"
    );
}

/// Dropping the future of a shutdown calls it off.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_is_not_awaited_to_its_end_leaves_later_runs_alone() {
    let background = draining(10 * SECOND);
    let diary = Diary::begin();
    let waits = background.spawn(diary.task("waits", SECOND).delay(2 * SECOND));
    let given_up = tokio::time::timeout(SECOND, background.shutdown()).await;
    assert!(given_up.is_err());
    waits.await.unwrap();
    // Begins after the end of the time that the shutdown had.
    let delayed = diary.task("delayed", SECOND).delay(20 * SECOND);
    background.spawn(delayed).await.unwrap();
    assert_eq!(diary.lines(), ["2s waits", "23s delayed"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_after_the_deadline_of_a_shutdown_is_the_last() {
    /// Gives in, which is a failure.
    #[derive(Clone)]
    struct GivesIn;

    impl Task for GivesIn {
        const DEF: &'static TaskDef = &TaskDef::new("gives.in")
            .retries(3)
            .backoff(Backoff::fixed(Duration::from_millis(1)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            cx.cancelled().await;
            Err("no time".into())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(Self)
        }
    }

    let background = draining(SECOND);
    drop(background.spawn(GivesIn));
    let report = background.shutdown().await;
    assert_eq!(report.elapsed(), SECOND, "nothing to wait for after that");
    assert_eq!((report.stats().aborted, report.stats().retries), (1, 0));
    let text = report.to_string();
    assert!(text.contains("waiting for attempt 2 of 4"), "{text}");
}

/// In this process a signal reaches every server that listens for it: this is the only one.
#[tokio::test]
async fn a_second_signal_ends_the_wait_for_a_run_that_would_have_come_in_time() {
    #[derive(Clone)]
    struct InAMinute(Timeline);

    impl Task for InAMinute {
        const DEF: &'static TaskDef = &TaskDef::new("in.a.minute")
            .retries(1)
            .backoff(Backoff::fixed(Duration::from_secs(60)));

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.mark("run");
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    fn terminate() {
        let process = std::process::id().to_string();
        let kill = Command::new("kill").args(["-TERM", &process]).status();
        assert!(kill.expect("`kill` runs").success());
    }

    /// Takes a while to end when it is asked to.
    struct Polite(Timeline);

    impl Task for Polite {
        const DEF: &'static TaskDef = &TaskDef::new("polite");

        async fn run(self, cx: TaskContext) -> TaskResult {
            cx.cancelled().await;
            tokio::time::sleep(SECOND / 3).await;
            self.0.mark("a while later");
            Ok(())
        }
    }

    let timeline = Timeline::new();
    let hook = Failures::default().hook(&timeline);
    let builder = Background::builder().on_error(hook).drain_timeout(HOUR);
    let background = builder.build().unwrap();
    let polite = background.spawn(Polite(timeline.clone()));
    let task = InAMinute(timeline.clone());
    let add = async move |tasks: BackgroundTasks| tasks.add_task(task);
    let app = Router::new().route("/", routing::get(add));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(background.serve(listener, app).into_future());
    Http1::connect(address).await.fetch("GET", "/").await;
    timeline.reached("run").await;
    let waits = || background.stats().pending == 1;
    eventually("it waits", waits).await;

    terminate();
    let refused = || std::net::TcpStream::connect(address).is_err();
    eventually("it stops", refused).await;
    assert!(waits(), "it has a minute");
    let begun = Instant::now();
    terminate();
    let report = within("the end", served).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    let text = report.to_string();
    assert!(text.contains("waiting for attempt 2 of 2"), "{text}");
    // At once, and not when others have had their time to end.
    let aborted = timeline.reached("in.a.minute aborted").await;
    assert!(aborted.is_before(&timeline.reached("a while later").await));
    polite.await.unwrap();
}

/// What a `Background` lacks, the next run would lack as well.
#[tokio::test(start_paused = true)]
async fn a_state_that_is_missing_is_not_tried_again() {
    #[derive(Clone)]
    struct NeedsState;

    impl Task for NeedsState {
        const DEF: &'static TaskDef = &TaskDef::new("needs.state").retries(3);

        async fn run(self, cx: TaskContext) -> TaskResult {
            let _: std::net::Ipv4Addr = cx.state("address")?;
            Ok(())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let background = Background::builder().build().unwrap();
    let failure = background.spawn(NeedsState).await.unwrap_err();
    assert_eq!(failure.attempt(), 1, "{failure}");
}
