//! What a recorder of `metrics` gets, on one thread and with the clock paused.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use bg_runtime::{
    Background, BackgroundTasks, BoxTask, Overflow, TaskContext, TaskExt, TaskHandle,
    background_task, get, named, routes, tasks,
};
use metrics::{Key, Unit, with_local_recorder};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tests::tasks::is_balanced;
use tokio::task::yield_now;
use tokio::time::{advance, sleep};
use tower::ServiceExt;

/// The gauge is one for the whole process, so the tests of this file take turns.
static TURN: Mutex<()> = Mutex::new(());

const PENDING: &str = "bg_tasks_pending";

/// What was recorded, by `name{label=value}`.
#[derive(Debug)]
struct Recorded(BTreeMap<String, Instrument>);

#[derive(Debug)]
struct Instrument {
    value: DebugValue,
    unit: Option<Unit>,
    description: Option<String>,
}

/// Everything that is recorded while `test` runs.
fn recorded(test: impl AsyncFnOnce()) -> Recorded {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    recorded_in_turn(test)
}

fn recorded_in_turn(test: impl AsyncFnOnce()) -> Recorded {
    let recorder = DebuggingRecorder::new();
    let snapshot = with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test());
        // Once, because a snapshot sets everything to zero; and before the runtime drops its tasks.
        recorder.snapshotter().snapshot()
    });
    let instruments = snapshot
        .into_vec()
        .into_iter()
        .map(|(key, unit, description, value)| {
            let instrument = Instrument {
                value,
                unit,
                description: description.map(|text| text.to_string()),
            };
            (name(key.key()), instrument)
        });
    Recorded(instruments.collect())
}

fn name(key: &Key) -> String {
    let labels = key
        .labels()
        .map(|label| format!("{}={}", label.key(), label.value()));
    let mut labels: Vec<String> = labels.collect();
    labels.sort();
    if labels.is_empty() {
        key.name().to_owned()
    } else {
        format!("{}{{{}}}", key.name(), labels.join(","))
    }
}

impl Recorded {
    /// The number of tasks of a name that had an outcome; 0 if there was none.
    fn count(&self, task: &str, outcome: &str) -> u64 {
        let name = format!("bg_tasks_total{{outcome={outcome},task={task}}}");
        match self.0.get(&name).map(|instrument| &instrument.value) {
            None => 0,
            Some(DebugValue::Counter(count)) => *count,
            Some(other) => panic!("{name} is no counter: {other:?}"),
        }
    }

    /// The sum over all tasks and outcomes.
    fn count_all(&self) -> u64 {
        let counters = self.0.values().filter_map(|instrument| {
            let DebugValue::Counter(count) = instrument.value else {
                return None;
            };
            Some(count)
        });
        counters.sum()
    }

    /// The values of a histogram, in tenths of a second, because timers are a millisecond late.
    fn tenths(&self, name: &str) -> Vec<u64> {
        match self.0.get(name).map(|instrument| &instrument.value) {
            None => Vec::new(),
            Some(DebugValue::Histogram(values)) => values
                .iter()
                .map(|value| (value.into_inner() * 10.0).round() as u64)
                .collect(),
            Some(other) => panic!("{name} is no histogram: {other:?}"),
        }
    }

    fn durations(&self, task: &str) -> Vec<u64> {
        self.tenths(&format!("bg_task_duration_seconds{{task={task}}}"))
    }

    fn pending(&self) -> f64 {
        match &self.0[PENDING].value {
            DebugValue::Gauge(value) => value.into_inner(),
            other => panic!("{PENDING} is no gauge: {other:?}"),
        }
    }
}

/// A `Background` whose failures are of no interest here.
fn background() -> Background {
    Background::builder().on_error(|_| {}).build().unwrap()
}

/// A `Background` that runs one list at once and lets one task wait.
fn narrow() -> Background {
    let builder = Background::builder().on_error(|_| {}).max_concurrent(1);
    builder.max_pending(1, Overflow::Reject).build().unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A task that runs for `time` seconds.
fn taking(name: &'static str, time: u64) -> BoxTask {
    named(name, async move { sleep(seconds(time)).await })
}

fn endless(name: &'static str) -> BoxTask {
    named(name, pending::<()>())
}

fn failing(name: &'static str) -> BoxTask {
    named(name, async { Err::<(), _>("no luck") })
}

/// Lets the spawned tasks run until they wait.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

/// Fails twice, after two seconds each, and succeeds in its third run.
#[background_task(name = "flaky", retries = 3, backoff = "5s")]
async fn flaky(#[context] cx: TaskContext) -> Result<(), &'static str> {
    sleep(seconds(2)).await;
    match cx.attempt() {
        3 => Ok(()),
        _ => Err("no luck yet"),
    }
}

/// Is stopped after three seconds, twice.
#[background_task(name = "too-slow", timeout = "3s", retries = 1)]
async fn too_slow() {
    pending::<()>().await;
}

#[test]
fn every_outcome_is_counted_by_task() {
    let recorded = recorded(async || {
        let background = narrow();
        background.spawn(taking("a", 1)).await.unwrap();
        background.spawn(taking("a", 1)).await.unwrap();
        background.spawn(failing("b")).await.unwrap_err();
        let panics = named("c", async { panic!("out of luck") });
        background.spawn(panics).await.unwrap_err();
        let times_out = endless("d").timeout(seconds(1));
        background.spawn(times_out).await.unwrap_err();
        let running = background.spawn(endless("e"));
        settle().await;
        let waiting = background.spawn(endless("e"));
        background.spawn(taking("f", 1)).await.unwrap_err();
        running.abort();
        waiting.abort();
        drop(tasks![taking("g", 1)]);

        let stats = background.stats();
        assert_eq!((stats.completed, stats.failed), (2, 3), "{stats}");
        assert_eq!((stats.skipped, stats.aborted), (2, 2), "{stats}");
        assert!(is_balanced(&stats), "{stats}");
    });
    let counts = [
        ("a", "completed", 2),
        ("b", "failed", 1),
        ("c", "failed", 1),
        ("d", "failed", 1),
        ("e", "aborted", 2),
        ("f", "rejected", 1),
        // From a list that was attached to nothing: the global `Background` counts it.
        ("g", "skipped", 1),
    ];
    for (task, outcome, count) in counts {
        assert_eq!(
            recorded.count(task, outcome),
            count,
            "{task}: {recorded:#?}"
        );
    }
    let all: u64 = counts.iter().map(|(_, _, count)| count).sum();
    assert_eq!(recorded.count_all(), all, "{recorded:#?}");
}

#[test]
fn a_task_that_runs_again_is_counted_once_and_timed_each_time() {
    let recorded = recorded(async || {
        background().spawn(Flaky).await.unwrap();
        background().spawn(TooSlow).await.unwrap_err();
    });
    assert_eq!(recorded.count("flaky", "completed"), 1);
    assert_eq!(recorded.count("too-slow", "failed"), 1);
    assert_eq!(recorded.count_all(), 2, "{recorded:#?}");
    // The waits between the runs are not counted.
    assert_eq!(recorded.durations("flaky"), [20, 20, 20]);
    assert_eq!(recorded.durations("too-slow"), [30, 30]);
}

#[test]
fn a_run_that_was_stopped_is_timed_and_one_that_did_not_begin_is_not() {
    let recorded = recorded(async || {
        let background = narrow();
        let running = background.spawn(endless("running"));
        settle().await;
        let waiting = background.spawn(endless("waiting"));
        let refused = background.spawn(endless("refused"));
        advance(seconds(7)).await;
        running.abort();
        waiting.abort();
        for handle in [running, waiting, refused] {
            handle.await.unwrap_err();
        }
    });
    assert_eq!(recorded.durations("running"), [70]);
    assert_eq!(recorded.durations("waiting"), [0; 0]);
    assert_eq!(recorded.durations("refused"), [0; 0]);
}

#[get("/", background = [taking("first", 4), taking("second", 1)])]
async fn slow_handler() {
    sleep(seconds(3)).await;
}

#[test]
fn the_queue_time_lasts_from_queueing_to_the_first_run() {
    let of_a_request = recorded(async || {
        let background = background();
        let app: Router = routes![slow_handler].layer(background.layer());
        let request = Request::get("/").body(Body::empty()).unwrap();
        // The layer waits for the body to be gone.
        drop(app.oneshot(request).await.unwrap());
        background.shutdown().await;
        assert_eq!(background.stats().completed, 2);
    });
    assert_eq!(of_a_request.tenths("bg_task_queue_seconds"), [30, 70]);

    let with_a_delay = recorded(async || {
        background().spawn(Flaky.delay(seconds(6))).await.unwrap();
    });
    assert_eq!(with_a_delay.tenths("bg_task_queue_seconds"), [60]);

    let refused = recorded(async || {
        let background = narrow();
        let [running, waiting, refused] = [(); 3].map(|()| background.spawn(endless("endless")));
        refused.await.unwrap_err();
        settle().await;
        waiting.abort();
        running.abort();
    });
    assert_eq!(refused.tenths("bg_task_queue_seconds"), [0], "{refused:#?}");
}

#[test]
fn the_pending_gauge_counts_tasks_that_wait() {
    let recorded = recorded(async || {
        let background = Background::builder().max_concurrent(1).build().unwrap();
        for _ in 0..4 {
            background.spawn(endless("endless"));
        }
        settle().await;
        assert_eq!(background.stats().pending, 3);
    });
    assert_eq!(recorded.pending(), 3.0);
}

#[test]
fn the_pending_gauge_counts_a_task_that_waits_for_its_next_run() {
    let recorded = recorded(async || {
        let background = background();
        background.spawn(Flaky);
        sleep(seconds(3)).await;
        let stats = background.stats();
        assert_eq!((stats.pending, stats.failed), (1, 0), "{stats}");
    });
    assert_eq!(recorded.pending(), 1.0);
}

#[test]
fn the_pending_gauge_is_zero_when_every_task_has_ended() {
    /// A way to end with no task pending, and its name.
    type Story = (&'static str, fn(Background) -> BoxFuture);
    type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()>>>;

    let stories: [Story; 10] = [
        ("success", |background| {
            Box::pin(async move { background.spawn(taking("a", 1)).await.unwrap() })
        }),
        ("failure", |background| {
            Box::pin(async move { drop(background.spawn(failing("a")).await) })
        }),
        ("runs after the first", |background| {
            Box::pin(async move { background.spawn(Flaky).await.unwrap() })
        }),
        ("skipped after a failure", |background| {
            Box::pin(async move {
                let list = BackgroundTasks::from_iter([failing("a"), endless("b"), endless("c")]);
                let app = Router::new()
                    .route("/", axum::routing::get(async || (list, "")))
                    .layer(background.layer());
                drop(app.oneshot(Request::new(Body::empty())).await.unwrap());
                background.shutdown().await;
                assert_eq!(background.stats().skipped, 2);
            })
        }),
        ("skipped without having been attached", |_| {
            Box::pin(async { drop(tasks![endless("a"), endless("b")]) })
        }),
        ("aborted while it waits", |background| {
            Box::pin(async move {
                let handle = background.spawn(endless("a").delay(seconds(60)));
                settle().await;
                handle.abort();
            })
        }),
        ("aborted while it runs", |background| {
            Box::pin(async move {
                let handle = background.spawn(endless("a"));
                settle().await;
                handle.abort();
            })
        }),
        ("aborted by a shutdown", |background| {
            Box::pin(async move {
                background.spawn(endless("a"));
                background.spawn(endless("b").delay(Duration::MAX));
                assert_eq!(background.shutdown().await.unfinished().len(), 2);
            })
        }),
        ("queued after a shutdown", |background| {
            Box::pin(async move {
                background.shutdown().await;
                background.spawn(endless("a")).await.unwrap_err();
            })
        }),
        ("refused", |_| {
            Box::pin(async {
                let background = narrow();
                let handles = [(); 5].map(|()| background.spawn(endless("a")));
                settle().await;
                assert_eq!(background.stats().skipped, 4);
                handles.iter().for_each(TaskHandle::abort);
            })
        }),
    ];
    for (what, story) in stories {
        let recorded = recorded(async || {
            let background = background();
            story(background.clone()).await;
            assert_eq!(background.stats().pending, 0, "{what}");
        });
        assert_eq!(recorded.pending(), 0.0, "{what}: {recorded:#?}");
    }
}

#[test]
fn the_pending_gauge_counts_every_background_of_the_process() {
    let recorded = recorded(async || {
        let (one, other) = (background(), background());
        one.spawn(endless("a").delay(seconds(60)));
        one.spawn(endless("a").delay(seconds(60)));
        other.spawn(endless("b").delay(seconds(60)));
        other.spawn(taking("c", 1)).await.unwrap();
        assert_eq!((one.stats().pending, other.stats().pending), (2, 1));
    });
    assert_eq!(recorded.pending(), 3.0);
}

#[test]
fn a_recorder_that_is_installed_late_sees_the_tasks_that_wait_already() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let before = background();
    let [handle, _waits] = [(); 2].map(|()| before.spawn(endless("a").delay(seconds(60))));
    let recorded = recorded_in_turn(async || handle.abort());
    assert_eq!(recorded.pending(), 1.0);
}

#[test]
fn the_instruments_are_described_with_their_units() {
    let recorded = recorded(async || {
        background().spawn(taking("a", 1)).await.unwrap();
    });
    let units = [
        ("bg_tasks_total{outcome=completed,task=a}", Unit::Count),
        ("bg_task_duration_seconds{task=a}", Unit::Seconds),
        ("bg_task_queue_seconds", Unit::Seconds),
        (PENDING, Unit::Count),
    ];
    assert_eq!(recorded.0.len(), units.len(), "{recorded:#?}");
    for (name, unit) in units {
        let instrument = &recorded.0[name];
        assert_eq!(instrument.unit, Some(unit), "{name}");
        assert!(instrument.description.is_some(), "{name}");
    }
}
