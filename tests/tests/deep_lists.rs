//! Lists inside lists, to any depth. The stack of a test's thread is 2 MiB.

use axum::{Router, response::IntoResponse, routing};
use bg_runtime::{Background, BackgroundTasks, FailureKind, TaskInfo, tasks};
use http::Request;
use tests::{
    Timeline,
    tasks::{Failures, respond_with, settled},
};
use tower::ServiceExt;

const DEPTH: usize = 100_000;

fn background(failures: &Failures, timeline: &Timeline) -> Background {
    let builder = timeline.background().on_error(failures.hook(timeline));
    builder.build().expect("no state is missing")
}

/// P-LIST-1
#[tokio::test]
async fn a_task_inside_a_hundred_thousand_lists_runs() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let mut list = tasks![timeline.task("innermost")];
    for _ in 0..DEPTH {
        list = tasks![list].continue_on_error();
    }
    assert_eq!(list.len(), 1);
    respond_with(&background, list).await;
    assert_eq!(settled(&background, 1).await.completed, 1);
}

/// P-LIST-1
#[tokio::test]
async fn a_task_inside_a_hundred_thousand_concurrent_lists_runs() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let mut list = tasks![timeline.task("innermost")];
    for _ in 0..DEPTH {
        list = BackgroundTasks::concurrent().with_task(list);
    }
    respond_with(&background, list).await;
    assert_eq!(settled(&background, 1).await.completed, 1);
}

/// Concurrent lists in lists that run in order, and the other way round.
///
/// P-LIST-1
#[tokio::test]
async fn lists_of_both_kinds_may_be_nested_deeply() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let mut list = tasks![timeline.task("innermost")];
    for _ in 0..2_000 {
        list = tasks![
            BackgroundTasks::concurrent().with_task(list),
            timeline.task("behind")
        ];
    }
    respond_with(&background, list).await;
    assert_eq!(settled(&background, 2_001).await.completed, 2_001);
    assert_eq!(timeline.names()[0], "innermost");
}

/// P-LIST-1, P-FAILURE-1
#[tokio::test]
async fn a_failure_deep_inside_names_what_is_behind_all_lists_around_it() {
    const DEPTH: usize = 5_000;
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let mut list = tasks![timeline.failing("innermost")];
    for _ in 0..DEPTH {
        list = tasks![list, timeline.task("behind")];
    }
    respond_with(&background, list).await;
    let stats = settled(&background, DEPTH as u64 + 1).await;
    assert_eq!((stats.failed, stats.skipped), (1, DEPTH as u64));
    let failure = failures.of("innermost").expect("it failed");
    assert_eq!(failure.skipped().len(), DEPTH);
    assert!(failure.skipped().iter().all(|task| task.name() == "behind"));
}

/// P-FAILURE-1
#[tokio::test]
async fn a_failure_names_only_what_it_keeps_from_running() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let task = |name| timeline.task(name);
    // The middle list goes on: what is left in it runs, and what is behind it does not.
    let inner = tasks![timeline.failing("a"), task("b")];
    let both = BackgroundTasks::concurrent()
        .with_task(timeline.failing("c"))
        .with_task(tasks![task("d"), timeline.failing("e"), task("f")]);
    let middle = tasks![inner, both, task("g")].continue_on_error();
    let list = tasks![task("first"), middle, task("h"), tasks![task("i")]];
    respond_with(&background, list).await;
    let stats = settled(&background, 10).await;
    assert_eq!((stats.completed, stats.failed, stats.skipped), (3, 3, 4));
    let skipped = |name| -> Vec<_> {
        let failure = failures.of(name).expect("it failed");
        failure.skipped().iter().map(TaskInfo::name).collect()
    };
    assert_eq!(skipped("a"), ["b", "h", "i"]);
    assert_eq!(skipped("c"), ["h", "i"]);
    assert_eq!(skipped("e"), ["f", "h", "i"]);
}

/// P-LIST-1
#[tokio::test]
async fn a_deep_list_that_is_never_attached_is_dropped_and_reported() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    background
        .install_global()
        .expect("this test alone installs one");
    let mut list = tasks![timeline.task("never")];
    for _ in 0..DEPTH {
        list = tasks![list].continue_on_error();
    }
    drop(list);
    assert_eq!(settled(&background, 1).await.skipped, 1);
    let failure = failures.of("never").expect("it is reported");
    assert_eq!(failure.kind(), FailureKind::Skipped);
}

/// Each list has handed its tasks over to the next, and all of them are still there.
///
/// P-LIST-1
#[tokio::test]
async fn a_long_row_of_handles_takes_late_tasks_and_is_dropped() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let row = |first: BackgroundTasks| {
        let mut lists = vec![first];
        for place in 0..DEPTH {
            lists.push(tasks![lists[place].clone()]);
        }
        lists
    };
    let lists = row(tasks![timeline.task("first")]);
    lists[0].add_task(timeline.task("late"));
    let last = lists[DEPTH].clone();
    assert_eq!((lists[0].len(), last.len()), (0, 2));
    respond_with(&background, last).await;
    assert_eq!(settled(&background, 2).await.completed, 2);
    drop(lists);

    let mut lists = row(BackgroundTasks::new());
    // Each list but the first is kept by the one before it alone.
    lists.truncate(1);
    drop(lists);
}

async fn counts(list: BackgroundTasks) -> impl IntoResponse {
    assert!(list.is_empty());
    list.add_task(bg_runtime::named("one", async {}));
    let more = tasks![bg_runtime::named("two", async {})];
    more.add_task(BackgroundTasks::concurrent().with_task(bg_runtime::named("three", async {})));
    assert_eq!((list.len(), more.len()), (1, 2));
    list.add_task(more.clone());
    assert_eq!((list.len(), more.len()), (3, 0));
    assert!(more.is_empty());
    more.add_task(bg_runtime::named("late", async {}));
    assert_eq!((list.len(), more.len()), (4, 0));
    (axum::Extension(list), "ok")
}

/// P-LIST-3
#[tokio::test]
async fn a_list_counts_the_tasks_that_it_has_not_handed_over() {
    let (failures, timeline) = (Failures::default(), Timeline::new());
    let background = background(&failures, &timeline);
    let app = Router::new()
        .route("/", routing::get(counts))
        .layer(background.layer());
    let response = app
        .oneshot(Request::<axum::body::Body>::default())
        .await
        .expect("infallible");
    assert_eq!(response.status(), 200);
    let list = response.extensions().get::<BackgroundTasks>().cloned();
    let list = list.expect("the handler's list");
    assert_eq!(list.len(), 4, "the response is still to be sent");
    drop(response);
    assert_eq!(settled(&background, 4).await.completed, 4);
    assert_eq!(list.len(), 0);
}
