//! The progress that a task reports, and what its readers get of it.

use std::time::Duration;

use bg_runtime::{
    Background, Backoff, Overflow, Progress, Task, TaskContext, TaskDef, TaskHandle, TaskResult,
    background_task,
};
use futures_util::{FutureExt, StreamExt};
use tests::{
    Timeline,
    tasks::{respond_with, settled},
    within,
};

/// Reports the numbers up to each of its steps, and waits until the next may begin.
#[background_task(name = "counts")]
async fn count(
    steps: Vec<u64>,
    ends_well: bool,
    #[context] cx: TaskContext,
    #[state] timeline: Timeline,
) -> Result<(), &'static str> {
    for step in steps {
        for done in 0..=step {
            cx.progress(done, 100, format!("at {done}"));
        }
        timeline.mark(format!("said {step}"));
        timeline.reached(&format!("go on after {step}")).await;
    }
    if ends_well { Ok(()) } else { Err("no luck") }
}

/// Starts a task of these steps, and waits until it has reported the first.
async fn counting(timeline: &Timeline, steps: &[u64], ends_well: bool) -> TaskHandle {
    let background = timeline.background().build().unwrap();
    let handle = background.spawn(Count::new(steps.to_vec(), ends_well));
    timeline.reached(&format!("said {}", steps[0])).await;
    handle
}

fn done(progress: Option<&Progress>) -> Option<u64> {
    progress.map(Progress::done)
}

/// P-HANDLE-2
#[tokio::test]
async fn a_reader_gets_the_latest_progress_and_then_waits_for_the_next() {
    let timeline = Timeline::new();
    let handle = counting(&timeline, &[5, 7], true).await;
    let mut progress = handle.progress();
    let latest = progress.next().await.unwrap();
    assert_eq!(
        (latest.done(), latest.total(), latest.message()),
        (5, 100, "at 5")
    );
    assert_eq!(latest.to_string(), "5 of 100: at 5");
    assert!(progress.next().now_or_never().is_none(), "said once");

    timeline.mark("go on after 5");
    timeline.reached("said 7").await;
    assert_eq!(done(progress.next().await.as_ref()), Some(7));
    timeline.mark("go on after 7");
    assert_eq!(within("the end", progress.next()).await, None);
    handle.await.unwrap();
    assert_eq!(progress.next().await, None, "and no more");
}

#[tokio::test]
async fn a_reader_that_waits_for_progress_is_woken_by_the_next() {
    let timeline = Timeline::new();
    let handle = counting(&timeline, &[1, 2], true).await;
    let mut progress = handle.progress();
    progress.next().await.unwrap();
    let reader = tokio::spawn(async move { progress.next().await });
    tokio::task::yield_now().await;
    timeline.mark("go on after 1");
    // The task reports all numbers again, and the reader may catch any of them.
    let heard = within("a word", reader).await.unwrap().unwrap();
    assert!(heard.done() <= 2, "{heard}");
    timeline.mark("go on after 2");
    handle.await.unwrap();
}

/// P-HANDLE-2
#[tokio::test]
async fn a_reader_that_never_asks_holds_nothing_up_and_gets_the_last_progress() {
    let timeline = Timeline::new();
    let handle = counting(&timeline, &[1, 99], true).await;
    let mut progress = handle.progress();
    timeline.mark("go on after 1");
    timeline.mark("go on after 99");
    within("the task", handle).await.unwrap();
    assert_eq!(done(progress.next().await.as_ref()), Some(99));
    assert_eq!(progress.next().await, None);
}

#[tokio::test]
async fn every_reader_of_a_task_gets_the_same_progress() {
    let timeline = Timeline::new();
    let handle = counting(&timeline, &[3], true).await;
    let (first, second) = (handle.progress(), handle.progress());
    timeline.mark("go on after 3");
    let heard = futures_util::future::join(first.collect::<Vec<_>>(), second.collect::<Vec<_>>());
    let (first, second) = within("both ends", heard).await;
    assert_eq!(done(first.last()), Some(3));
    assert_eq!(first, second);
}

/// P-HANDLE-2
#[tokio::test]
async fn a_progress_stream_ends_when_its_task_fails_or_is_aborted() {
    let timeline = Timeline::new();
    let failing = counting(&timeline, &[1], false).await;
    let mut progress = failing.progress();
    progress.next().await.unwrap();
    timeline.mark("go on after 1");
    assert_eq!(within("the end", progress.next()).await, None);
    failing.await.unwrap_err();

    let timeline = Timeline::new();
    let aborted = counting(&timeline, &[1], true).await;
    let mut progress = aborted.progress();
    progress.next().await.unwrap();
    aborted.abort();
    assert_eq!(within("the end", progress.next()).await, None);
    aborted.await.unwrap_err();
}

#[tokio::test]
async fn a_progress_stream_of_a_task_that_has_ended_is_its_last_progress() {
    let timeline = Timeline::new();
    let mut handle = counting(&timeline, &[1], true).await;
    timeline.mark("go on after 1");
    within("the task", &mut handle).await.unwrap();
    let mut progress = handle.progress();
    let last = within("the last", progress.next()).await;
    assert_eq!(done(last.as_ref()), Some(1));
    assert_eq!(last, handle.latest());
    assert_eq!(within("nothing", progress.next()).await, None);
}

#[tokio::test]
async fn a_task_that_reports_nothing_or_does_not_run_has_an_empty_stream() {
    let timeline = Timeline::new();
    let builder = timeline.background().max_pending(1, Overflow::Reject);
    let background = builder.build().unwrap();
    let silent = background.spawn(timeline.waiting("silent"));
    let refused = background.spawn(timeline.task("refused"));
    assert_eq!(within("nothing", refused.progress().next()).await, None);
    let mut progress = silent.progress();
    assert!(
        progress.next().now_or_never().is_none(),
        "it may say something"
    );
    timeline.mark("silent may end");
    assert_eq!(within("the end", progress.next()).await, None);
}

/// It is the same task, and it has one stream.
#[tokio::test(start_paused = true)]
async fn a_progress_stream_goes_on_from_one_run_to_the_next() {
    #[derive(Clone)]
    struct TwoRuns;

    impl Task for TwoRuns {
        const DEF: &'static TaskDef = &TaskDef::new("two.runs")
            .retries(1)
            .backoff(Backoff::fixed(Duration::from_secs(1)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            cx.progress(u64::from(cx.attempt()), 2, "");
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

    let background = Timeline::new().background().build().unwrap();
    let progress = background.spawn(TwoRuns).progress();
    let words = progress.map(|word| word.to_string()).collect::<Vec<_>>();
    assert_eq!(words.await, ["1 of 2", "2 of 2"]);
}

#[tokio::test]
async fn a_task_of_a_request_may_report_progress() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    timeline.mark("go on after 1");
    respond_with(&background, Count::new(vec![1], true)).await;
    assert_eq!(settled(&background, 1).await.completed, 1);
}

/// A context may be kept, by a thread of the task's own for example.
#[tokio::test]
async fn progress_reported_after_the_end_of_a_task_is_dropped() {
    static KEPT: std::sync::Mutex<Option<TaskContext>> = std::sync::Mutex::new(None);

    #[background_task(name = "keeps.its.context")]
    async fn keep_context(#[context] cx: TaskContext) {
        *KEPT.lock().unwrap() = Some(cx);
    }

    let timeline = Timeline::new();
    let background: Background = timeline.background().build().unwrap();
    background.spawn(KeepContext).await.unwrap();
    // It has the entry in the books that the other one had.
    let next = background.spawn(timeline.waiting("next"));
    let mut progress = next.progress();
    KEPT.lock()
        .unwrap()
        .take()
        .unwrap()
        .progress(1, 1, "too late");
    timeline.mark("next may end");
    assert_eq!(within("the end", progress.next()).await, None);
    next.await.unwrap();
}
