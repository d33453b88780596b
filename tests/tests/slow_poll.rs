//! The warning for a task that blocks its thread.

use std::time::Duration;

use bg_runtime::{
    Background, BackgroundBuilder, BoxTask, IntoTask, Task, TaskContext, TaskDef, TaskResult,
    named, named_blocking,
};
use tests::{Timeline, logs, tasks::respond_with};

/// Longer than the ten milliseconds that a poll may take by default.
const BURST: Duration = Duration::from_millis(30);

fn blocking(name: &'static str) -> BoxTask {
    named(name, async { std::thread::sleep(BURST) })
}

/// Runs the task `runs` times. Returns the warnings for its name.
async fn warnings(
    settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder,
    runs: usize,
    task: impl Fn() -> BoxTask,
) -> Vec<String> {
    logs::keep();
    let background = settings(Background::builder()).build().unwrap();
    for _ in 0..runs {
        background.spawn(task()).await.unwrap();
    }
    let name = format!("{:?}", task());
    let name = name.split('"').nth(1).unwrap();
    logs::lines_with(&format!("task.name=\"{name}\""))
}

/// The number of milliseconds that a warning names.
fn millis(warning: &str) -> u64 {
    let (_, rest) = warning.split_once("blocks its thread for ").unwrap();
    rest.split_once(" ms: ").unwrap().0.parse().unwrap()
}

/// P-SLOW-1
#[tokio::test]
async fn one_warning_names_a_task_that_blocks_its_thread_and_the_way_out() {
    let warnings = warnings(|builder| builder, 3, || blocking("blocks")).await;
    let [warning] = warnings.as_slice() else {
        panic!("{warnings:?}")
    };
    assert!(warning.contains("WARN"), "{warning}");
    assert!(
        warning.contains("make the fn sync, or use `spawn_blocking`"),
        "{warning}"
    );
    assert!(
        warning.contains("task.file=\"tests/tests/slow_poll.rs\""),
        "{warning}"
    );
    assert!((30..10_000).contains(&millis(warning)), "{warning}");
}

/// P-SLOW-1
#[tokio::test]
async fn each_task_that_blocks_its_thread_has_a_warning_of_its_own() {
    let background = Background::builder().build().unwrap();
    logs::keep();
    for name in ["blocks.too", "blocks.as.well"] {
        background.spawn(blocking(name)).await.unwrap();
    }
    for name in ["blocks.too", "blocks.as.well"] {
        assert_eq!(logs::lines_with(&format!("\"{name}\"")).len(), 1);
    }
}

/// Every poll is timed, and not only the first.
#[tokio::test]
async fn a_task_that_blocks_its_thread_after_a_wait_has_a_warning_too() {
    let task = || {
        named("blocks.late", async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            std::thread::sleep(BURST);
            tokio::time::sleep(Duration::from_millis(1)).await;
        })
    };
    assert_eq!(warnings(|builder| builder, 1, task).await.len(), 1);
}

#[tokio::test]
async fn a_task_of_a_request_that_blocks_its_thread_has_a_warning_too() {
    logs::keep();
    let timeline = Timeline::new();
    let background = Background::builder().build().unwrap();
    let marks = timeline.clone();
    let task = named("blocks.in.a.request", async move {
        std::thread::sleep(BURST);
        marks.mark("blocked");
    });
    respond_with(&background, task).await;
    timeline.reached("blocked").await;
    background.shutdown().await;
    assert_eq!(logs::lines_with("\"blocks.in.a.request\"").len(), 1);
}

#[tokio::test]
async fn a_synchronous_task_may_block_its_thread_without_a_warning() {
    /// Says of itself that it is on the blocking pool, and is taken at its word.
    struct TakesItsTime;

    impl Task for TakesItsTime {
        const DEF: &'static TaskDef = &TaskDef::new("takes.its.time").blocking();

        async fn run(self, _: TaskContext) -> TaskResult {
            std::thread::sleep(BURST);
            Ok(())
        }
    }

    let task = || named_blocking("sync", || std::thread::sleep(BURST));
    assert_eq!(warnings(|builder| builder, 1, task).await, [""; 0]);
    let task = || TakesItsTime.into_task();
    assert_eq!(warnings(|builder| builder, 1, task).await, [""; 0]);
}

#[tokio::test]
async fn time_that_a_task_awaits_does_not_count_as_blocking() {
    let threshold = |builder: BackgroundBuilder| {
        // So long that the machine's own hiccups do not count.
        builder.slow_poll_threshold(Duration::from_millis(400))
    };
    let task = || {
        named("awaits", async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        })
    };
    assert_eq!(warnings(threshold, 1, task).await, [""; 0]);
}

#[tokio::test]
async fn the_threshold_for_a_slow_poll_can_be_set() {
    let minute = |builder: BackgroundBuilder| builder.slow_poll_threshold(Duration::from_secs(60));
    let quick = || blocking("blocks.below");
    assert_eq!(warnings(minute, 1, quick).await, [""; 0]);

    let two = |builder: BackgroundBuilder| builder.slow_poll_threshold(Duration::from_millis(2));
    let task = || {
        named("blocks.above", async {
            std::thread::sleep(Duration::from_millis(4));
        })
    };
    assert_eq!(warnings(two, 1, task).await.len(), 1);
}

#[tokio::test]
async fn the_warning_for_a_slow_poll_can_be_turned_off() {
    let off = |builder: BackgroundBuilder| builder.slow_poll_threshold(Duration::MAX);
    let task = || blocking("blocks.unwatched");
    assert_eq!(warnings(off, 2, task).await, [""; 0]);
}
