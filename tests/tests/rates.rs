//! How many runs begin in a time, and tasks that come too late.

use std::{collections::HashMap, time::Duration};

use bg_runtime::{
    Background, Backoff, FailureKind, Overflow, Rate, SkipReason, Task, TaskContext, TaskDef,
    TaskExt, TaskResult, named, tasks, testing::Recorder,
};
use proptest::{collection::vec, prelude::*, test_runner::FileFailurePersistence};
use tests::{
    Diary,
    tasks::{background, respond_with, settled, skip_reason},
    within,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// Notes its key when it begins.
#[derive(Clone)]
struct Begins {
    diary: Diary,
    key: Option<u8>,
    takes: Duration,
}

/// Declares a task that notes its key.
macro_rules! begins {
    ($task:ident, $def:expr) => {
        #[derive(Clone)]
        struct $task(Begins);

        impl Task for $task {
            const DEF: &'static TaskDef = &$def;

            async fn run(self, _: TaskContext) -> TaskResult {
                let Begins { diary, key, takes } = self.0;
                diary.note(key.map_or_else(|| "none".to_owned(), |key| format!("key {key}")));
                tokio::time::sleep(takes).await;
                if takes.is_zero() {
                    return Err("no time".into());
                }
                Ok(())
            }

            fn try_clone(&self) -> Option<Self> {
                Some(self.clone())
            }

            fn key(&self) -> Option<String> {
                self.0.key.map(|key| key.to_string())
            }
        }
    };
}

const TWO_PER_TEN: Rate = Rate::new(2, Duration::from_secs(10));

begins!(Rated, TaskDef::new("rates.rated").rate(TWO_PER_TEN));
begins!(
    RatedAlone,
    TaskDef::new("rates.alone")
        .rate(TWO_PER_TEN)
        .max_concurrent(1)
);
begins!(
    RatedRetried,
    TaskDef::new("rates.retried")
        .rate(TWO_PER_TEN)
        .retries(3)
        .backoff(Backoff::fixed(SECOND))
);

fn begins(diary: &Diary, key: Option<u8>, takes: Duration) -> Begins {
    Begins {
        diary: diary.clone(),
        key,
        takes,
    }
}

/// P-RATE-1
#[tokio::test(start_paused = true)]
async fn no_more_runs_begin_in_any_time_than_the_rate_allows() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    drop(background.spawn(Rated(begins(&diary, None, SECOND))));
    tokio::time::sleep(6 * SECOND).await;
    for _ in 0..4 {
        drop(background.spawn(Rated(begins(&diary, None, SECOND))));
    }
    let stats = within("all", background.shutdown()).await.stats();
    assert_eq!(stats.aborted, 0, "{stats}");
    let lines = ["0s none", "6s none", "10s none", "16s none", "20s none"];
    assert_eq!(diary.lines(), lines);
}

/// P-RATE-1
#[tokio::test(start_paused = true)]
async fn a_rate_is_for_each_key_where_there_is_one() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    for key in [1, 1, 1, 2, 2, 3] {
        drop(background.spawn(Rated(begins(&diary, Some(key), SECOND))));
    }
    settled_in(&background, 6, 12 * SECOND).await;
    let mut lines = diary.lines();
    lines.sort();
    let expected = [
        "0s key 1",
        "0s key 1",
        "0s key 2",
        "0s key 2",
        "0s key 3",
        "10s key 1",
    ];
    assert_eq!(lines, expected);
}

/// Passes this time, after which every task has an outcome.
async fn settled_in(background: &Background, accepted: u64, time: Duration) {
    tokio::time::sleep(time).await;
    settled(background, accepted).await;
}

/// P-RATE-1
#[tokio::test(start_paused = true)]
async fn a_window_outlives_the_tasks_that_are_in_it() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    for _ in 0..4 {
        let task = background.spawn(Rated(begins(&diary, Some(1), SECOND)));
        within("the outcome", task).await.unwrap();
    }
    let lines = ["0s key 1", "1s key 1", "10s key 1", "11s key 1"];
    assert_eq!(diary.lines(), lines);
}

/// P-RATE-2
#[tokio::test(start_paused = true)]
async fn tasks_that_wait_for_their_rate_begin_in_order_and_hold_no_slot() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    let handles: Vec<_> = (0..4)
        .map(|_| background.spawn(Rated(begins(&diary, Some(1), SECOND))))
        .collect();
    let other = background.spawn(diary.task("other", SECOND));
    within("the other", other).await.unwrap();
    for handle in handles {
        within("the outcome", handle).await.unwrap();
    }
    let lines = ["0s key 1", "1s key 1", "2s other", "10s key 1", "11s key 1"];
    assert_eq!(diary.lines(), lines);
}

/// P-RATE-1
///
/// Those that the rate lets begin wait for a slot, and begin one after the other. The rate counts from there.
#[tokio::test(start_paused = true)]
async fn a_wait_after_that_for_the_rate_does_not_bunch_the_begins() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    for _ in 0..6 {
        drop(background.spawn(Rated(begins(&diary, Some(1), SECOND / 10))));
    }
    tokio::time::sleep(5 * SECOND).await;
    drop(background.spawn(diary.task("long", 20 * SECOND)));
    settled_in(&background, 7, 40 * SECOND).await;
    let lines = [
        "0s key 1",
        "0.1s key 1",
        "5s long",
        "25s key 1",
        "25.1s key 1",
        "35s key 1",
        "35.1s key 1",
    ];
    assert_eq!(diary.lines(), lines);
}

/// P-RATE-1
#[tokio::test(start_paused = true)]
async fn a_key_that_waits_for_its_rate_holds_no_other_key_up() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    for key in [1, 1, 1, 1, 2] {
        drop(background.spawn(RatedAlone(begins(&diary, Some(key), SECOND))));
    }
    settled_in(&background, 5, 20 * SECOND).await;
    assert_eq!(diary.times("key 2"), [2 * SECOND]);
}

/// P-RATE-1
#[tokio::test(start_paused = true)]
async fn a_run_after_a_failure_counts_towards_the_rate() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    let task = background.spawn(RatedRetried(begins(&diary, None, Duration::ZERO)));
    within("the outcome", task).await.unwrap_err();
    let lines = ["0s none", "1s none", "10s none", "11s none"];
    assert_eq!(diary.lines(), lines);
}

/// P-RATE-3
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_begin_that_comes_too_late() {
    let (background, _) = background(|builder| builder.drain_timeout(5 * SECOND));
    let diary = Diary::begin();
    for _ in 0..10 {
        drop(background.spawn(Rated(begins(&diary, None, SECOND))));
    }
    let report = background.shutdown().await;
    assert_eq!(report.unfinished().len(), 8, "{report}");
    assert!(report.elapsed() < 2 * SECOND, "{report}");
    assert_eq!(report.stats().completed, 2);
}

#[tokio::test]
async fn a_recorder_waits_for_no_rate() {
    for recorder in [
        Recorder::new(),
        Recorder::from_builder(Background::builder()).unwrap(),
    ] {
        let diary = Diary::begin();
        for _ in 0..10 {
            drop(recorder.spawn(Rated(begins(&diary, None, Duration::from_millis(1)))));
        }
        assert!(within("all", recorder.run_all()).await.is_empty());
        assert_eq!(diary.times("none").len(), 10);
    }
}

#[derive(Debug, Clone)]
struct Arrival {
    after: u64,
    key: u8,
    takes: u64,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (0..40_u64, 0..2_u8, 1..60_u64).prop_map(|(after, key, takes)| Arrival {
        after: after * 100,
        key,
        takes: takes * 100,
    });
    vec(arrival, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    /// P-RATE-1
    #[test]
    fn a_rate_holds_in_every_window_and_nothing_waits_in_vain(
        arrivals in arrivals(),
        slots in prop_oneof![1..4_usize, Just(100)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let begun = runtime.block_on(async {
            let (background, _) = background(|builder| {
                builder.max_concurrent(slots).drain_timeout(3_600 * SECOND)
            });
            let diary = Diary::begin();
            for arrival in &arrivals {
                tokio::time::sleep(Duration::from_millis(arrival.after)).await;
                let takes = Duration::from_millis(arrival.takes);
                drop(background.spawn(Rated(begins(&diary, Some(arrival.key), takes))));
            }
            let report = background.shutdown().await;
            assert_eq!(report.stats().completed as usize, arrivals.len(), "{report}");
            [0, 1].map(|key| diary.times(&format!("key {key}")))
        });
        let mut arrived = HashMap::<u8, Vec<Duration>>::new();
        let mut now = Duration::ZERO;
        for arrival in &arrivals {
            now += Duration::from_millis(arrival.after);
            arrived.entry(arrival.key).or_default().push(now);
        }
        for (key, begun) in (0_u8..).zip(&begun) {
            for three in begun.windows(3) {
                prop_assert!(three[2] - three[0] >= 10 * SECOND, "{begun:?}");
            }
            // With a slot for every task, each begins as soon as its rate allows.
            if slots >= arrivals.len() {
                let arrived = arrived.remove(&key).unwrap_or_default();
                for (index, at) in begun.iter().enumerate() {
                    let free = index.checked_sub(2).map(|earlier| begun[earlier] + 10 * SECOND);
                    let due = free.map_or(arrived[index], |free| free.max(arrived[index]));
                    prop_assert!(*at < due + SECOND / 100, "{begun:?} {arrived:?}");
                }
            }
        }
    }
}

// Tasks that come too late.

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

begins!(
    Expires,
    TaskDef::new("rates.expires").expires(HALF_A_MINUTE)
);
begins!(
    ExpiresByKey,
    TaskDef::new("rates.expires.by.key")
        .expires(HALF_A_MINUTE)
        .max_per_key(1)
);

/// P-EXPIRY-1
#[tokio::test(start_paused = true)]
async fn a_task_whose_turn_comes_too_late_is_skipped_and_its_list_goes_on() {
    let (background, failures) = background(|builder| builder);
    let diary = Diary::begin();
    let list = tasks![
        diary.task("long", HALF_A_MINUTE),
        Expires(begins(&diary, None, SECOND)),
        diary.task("behind", SECOND),
    ];
    respond_with(&background, list).await;
    settled_in(&background, 3, 40 * SECOND).await;
    assert_eq!(diary.lines(), ["0s long", "30s behind"]);
    let [failure] = &failures.all()[..] else {
        panic!("one failure: {failures:?}");
    };
    assert_eq!(skip_reason(failure), SkipReason::Expired);
    assert_eq!((failure.attempt(), failure.skipped().len()), (0, 0));
    assert_eq!(background.stats().skipped, 1);
}

/// P-EXPIRY-1
#[tokio::test(start_paused = true)]
async fn a_task_expires_while_it_waits_for_a_delay_a_key_a_rate_or_a_slot() {
    let (background, _) = background(|builder| builder.max_concurrent(2));
    let diary = Diary::begin();
    let begun = Instant::now();
    let long = |key| begins(&diary, Some(key), 100 * SECOND);
    let short = |key| begins(&diary, Some(key), SECOND);
    let delayed = background.spawn(Expires(short(1)).delay(60 * SECOND));
    drop(background.spawn(ExpiresByKey(long(2))));
    let behind_key = background.spawn(ExpiresByKey(short(2)));
    for _ in 0..2 {
        let first = background.spawn(Rated(short(3)));
        within("the outcome", first).await.unwrap();
    }
    let behind_rate = background.spawn(Rated(short(3)).expires_in(5 * SECOND));
    drop(background.spawn(diary.task("occupies", 100 * SECOND)));
    let behind_slots = background.spawn(diary.task("slot", SECOND).expires_in(SECOND));
    for (handle, at) in [
        (behind_slots, 3),
        (behind_rate, 7),
        (delayed, 30),
        (behind_key, 30),
    ] {
        let failure = within("the outcome", handle).await.unwrap_err();
        assert_eq!(skip_reason(&failure), SkipReason::Expired);
        assert_eq!(begun.elapsed().as_secs(), at, "{failure}");
    }
}

/// P-EXPIRY-1
#[tokio::test(start_paused = true)]
async fn a_task_that_begins_in_time_runs_again_however_late() {
    let (background, _) = background(|builder| builder);
    let diary = Diary::begin();
    let task = RatedRetried(begins(&diary, None, Duration::ZERO)).expires_in(SECOND / 2);
    let failure = within("the outcome", background.spawn(task)).await;
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Error);
    assert_eq!(diary.lines().len(), 4);
}

/// P-EXPIRY-1
#[tokio::test(start_paused = true)]
async fn the_expiry_of_one_task_replaces_the_declared_one() {
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let diary = Diary::begin();
    drop(background.spawn(diary.task("long", 40 * SECOND)));
    let hasty = Expires(begins(&diary, Some(1), SECOND)).expires_in(5 * SECOND);
    let hasty = background.spawn(hasty);
    let patient = Expires(begins(&diary, Some(2), SECOND)).expires_in(Duration::MAX);
    let patient = background.spawn(patient);
    let never = background.spawn(named("never", async {}).expires_in(Duration::ZERO));
    for handle in [hasty, never] {
        let failure = within("the outcome", handle).await.unwrap_err();
        assert_eq!(skip_reason(&failure), SkipReason::Expired);
    }
    tokio::time::sleep(30 * SECOND).await;
    within("the outcome", patient).await.unwrap();
    assert_eq!(diary.lines(), ["0s long", "40s key 2"]);
    // Not even if nothing holds it up.
    let never = background.spawn(named("never", async {}).expires_in(Duration::ZERO));
    within("the outcome", never).await.unwrap_err();
}

/// A task that expires gives its room back, and holds nothing up.
#[tokio::test(start_paused = true)]
async fn a_task_that_has_expired_takes_up_no_limit() {
    let (background, failures) = background(|builder| builder.max_pending(1, Overflow::Reject));
    let diary = Diary::begin();
    drop(background.spawn(ExpiresByKey(begins(&diary, Some(1), 100 * SECOND))));
    tokio::time::sleep(SECOND).await;
    drop(background.spawn(ExpiresByKey(begins(&diary, Some(1), SECOND))));
    tokio::time::sleep(31 * SECOND).await;
    assert_eq!(failures.count(), 1);
    let next = background.spawn(named("next", async {}));
    within("the next", next).await.unwrap();
}
