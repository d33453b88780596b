//! Handles to tasks: of a request, from another request, and after the end; and what is live and what has ended.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bg_runtime::{
    Background, BackgroundTasks, Backoff, BoxTask, FailureKind, SkipReason, Task, TaskContext,
    TaskDef, TaskExt, TaskHandle, TaskId, TaskResult, TaskState, background_task, named,
    named_blocking, tasks, testing::Recorder,
};
use futures_util::FutureExt;
use tests::{
    Timeline,
    tasks::{Failures, background, respond_at_once_with, respond_with, settled, skip_reason},
    within,
};

/// Marks its name when it is dropped.
struct Dropped(Timeline, &'static str);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.mark(self.1);
    }
}

/// A list of `tasks`, with a handle to each.
fn tracked<const N: usize>(tasks: [BoxTask; N]) -> (BackgroundTasks, [TaskHandle; N]) {
    let list = BackgroundTasks::new();
    let handles = tasks.map(|task| list.add_tracked(task));
    (list, handles)
}

/// P-HANDLE-3
#[tokio::test]
async fn a_handle_of_a_list_waits_for_its_task_from_before_it_is_queued() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let (list, [first, second]) = tracked([timeline.waiting("a"), timeline.failing("b")]);
    let waiting = [first.clone(), first.clone()].map(tokio::spawn);
    assert!(!first.is_finished());
    respond_with(&background, list).await;
    timeline.reached("a").await;
    assert!(first.clone().now_or_never().is_none());
    timeline.mark("a may end");
    for ended in waiting {
        within("the first", ended).await.unwrap().unwrap();
    }
    let failure = within("the second", second.clone()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Error);
    assert!(first.is_finished() && second.is_finished());
    assert!(first.now_or_never().unwrap().is_ok(), "told again");
}

/// P-HANDLE-3
#[tokio::test]
async fn a_handle_hears_of_a_task_that_is_refused_skipped_or_never_attached() {
    let timeline = Timeline::new();
    let (background, _) =
        background(|builder| builder.max_pending(1, bg_runtime::Overflow::Reject));
    let (list, [kept, refused]) = tracked([timeline.waiting("a"), timeline.task("b")]);
    respond_with(&background, list).await;
    let refused = within("the refused", refused).await.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Rejected);
    let (list, [only_after_error]) = tracked([timeline.task("c").on_error_response()]);
    timeline.reached("a").await;
    respond_with(&background, list).await;
    let skipped = within("the skipped", only_after_error).await.unwrap_err();
    assert!(matches!(
        skip_reason(&skipped),
        SkipReason::NoErrorResponse(_)
    ));
    timeline.mark("a may end");
    within("the kept", kept).await.unwrap();

    let (list, [forgotten]) = tracked([timeline.task("d")]);
    drop(list);
    let forgotten = within("the forgotten", forgotten).await.unwrap_err();
    assert_eq!(skip_reason(&forgotten), SkipReason::NeverAttached);
}

/// Waits for ever, and marks `dropped` when its future is.
fn holding(timeline: &Timeline, name: &'static str) -> BoxTask {
    let (timeline, held) = (timeline.clone(), Dropped(timeline.clone(), "dropped"));
    named(name, async move {
        let _held = held;
        timeline.mark(name);
        std::future::pending::<()>().await;
    })
}

/// P-HANDLE-4
#[tokio::test]
async fn an_aborted_task_is_dropped_and_those_behind_it_are_skipped() {
    let timeline = Timeline::new();
    let (background, failures) = background(|builder| builder);
    let (list, [handle]) = tracked([holding(&timeline, "a")]);
    list.add_task(timeline.task("behind"));
    respond_with(&background, list).await;
    timeline.reached("a").await;
    handle.abort();
    assert!(handle.is_finished());
    timeline.reached("dropped").await;
    let stats = settled(&background, 2).await;
    assert_eq!((stats.aborted, stats.skipped), (1, 1));
    let behind = failures.of("behind").unwrap();
    let aborted = SkipReason::EarlierAbort { aborted: "a" };
    assert_eq!(skip_reason(&behind), aborted);
    assert_eq!(failures.count(), 2);
    handle.abort();
    assert_eq!(background.stats(), stats, "once");
}

#[tokio::test]
async fn a_list_that_goes_on_after_failures_goes_on_after_an_abort() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let (list, [handle]) = tracked([holding(&timeline, "a")]);
    list.add_task(timeline.task("behind"));
    respond_with(&background, list.continue_on_error()).await;
    timeline.reached("a").await;
    handle.abort();
    timeline.reached("behind done").await;
    settled(&background, 2).await;
}

/// A delay, a limit, a slot, the response, the tasks before it: whatever the task waits for.
///
/// P-HANDLE-4
#[tokio::test]
async fn a_task_that_waits_is_aborted_at_once_and_lets_its_list_go_on() {
    struct One(Dropped);

    impl Task for One {
        const DEF: &'static TaskDef = &TaskDef::new("one").max_concurrent(1);

        async fn run(self, _: TaskContext) -> TaskResult {
            self.0.0.mark("runs");
            std::future::pending().await
        }
    }

    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let held = |name| Dropped(timeline.clone(), name);
    let delayed = {
        let held = held("delayed dropped");
        named("delayed", async move { drop(held) }).delay(Duration::from_secs(3600))
    };
    let first = background.spawn(One(held("first dropped")));
    timeline.reached("runs").await;
    let tasks = [
        delayed,
        bg_runtime::IntoTask::into_task(One(held("limited dropped"))),
    ];
    let (list, handles) = tracked(tasks);
    list.add_task(timeline.task("last"));
    let list = list.continue_on_error();
    respond_with(&background, list).await;
    for (handle, dropped) in handles.iter().zip(["delayed dropped", "limited dropped"]) {
        handle.abort();
        timeline.reached(dropped).await;
    }
    timeline.reached("last done").await;
    first.abort();
    timeline.reached("first dropped").await;
    assert_eq!(settled(&background, 4).await.aborted, 3);
}

#[tokio::test]
async fn a_spawned_task_that_waits_for_a_slot_is_dropped_by_its_handle() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder.max_concurrent(1));
    let first = background.spawn(timeline.waiting("a"));
    timeline.reached("a").await;
    let waiting = background.spawn(holding(&timeline, "b"));
    waiting.abort();
    timeline.reached("dropped").await;
    timeline.mark("a may end");
    within("the first", first).await.unwrap();
    assert!(timeline.find("b").is_none());
}

#[tokio::test]
async fn a_task_may_be_aborted_before_its_list_is_attached() {
    let timeline = Timeline::new();
    let (background, failures) = background(|builder| builder);
    let (list, [handle]) = tracked([timeline.task("a")]);
    handle.abort();
    list.add_task(timeline.task("behind"));
    respond_with(&background, list).await;
    let failure = within("the task", handle).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    assert_eq!(settled(&background, 2).await.skipped, 1);
    assert_eq!(failures.count(), 2);
    assert!(timeline.find("a").is_none() && timeline.find("behind").is_none());
}

/// A destructor that panics is the task's own, and its list is not.
#[tokio::test]
async fn a_destructor_that_panics_in_an_aborted_task_ends_no_other() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let marks = timeline.clone();
    let (list, [handle]) = tracked([named("bomb", async move {
        let _bomb = Bomb;
        marks.mark("bomb");
        std::future::pending::<()>().await;
    })]);
    list.add_task(timeline.task("behind"));
    respond_with(&background, list.continue_on_error()).await;
    timeline.reached("bomb").await;
    handle.abort();
    timeline.reached("behind done").await;
    assert_eq!(settled(&background, 2).await.completed, 1);
}

/// P-HANDLE-4
#[tokio::test]
async fn a_blocking_task_that_is_aborted_in_a_list_is_cancelled() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let (list, [handle]) = tracked([bg_runtime::IntoTask::into_task(LoopUntilCancelled(
        timeline.clone(),
    ))]);
    respond_with(&background, list).await;
    timeline.reached("loops").await;
    handle.abort();
    timeline.reached("cancelled").await;
}

struct LoopUntilCancelled(Timeline);

impl Task for LoopUntilCancelled {
    const DEF: &'static TaskDef = &TaskDef::new("loops").blocking();

    async fn run(self, cx: TaskContext) -> TaskResult {
        bg_runtime::__private::blocking(move || {
            self.0.mark("loops");
            while !cx.is_cancelled() {
                std::thread::yield_now();
            }
            self.0.mark("cancelled");
            Ok(())
        })
        .await
    }
}

/// P-HANDLE-5
#[tokio::test]
async fn any_open_task_is_found_by_its_id_and_any_ended_one_in_the_history() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder.history(2));
    let ids = Arc::new(Mutex::new(Vec::<TaskId>::new()));
    let (list, handles) = tracked([timeline.waiting("a"), timeline.failing("b")]);
    for handle in &handles {
        ids.lock().unwrap().push(handle.id());
    }
    let [first, second] = [0, 1].map(|index| ids.lock().unwrap()[index]);
    assert!(background.handle(first).is_none(), "not queued yet");
    respond_with(&background, list).await;
    timeline.reached("a").await;
    let found = background.handle(first).unwrap();
    assert_eq!(found.id(), first);
    assert!(background.handle(second).is_some());
    assert!(background.outcome(first).is_none());
    timeline.mark("a may end");
    within("the found", found).await.unwrap();
    settled(&background, 2).await;
    let _ = within("the second", handles[1].clone()).await;
    assert!(background.handle(first).is_none() && background.handle(second).is_none());
    assert!(background.outcome(first).unwrap().is_ok());
    let failure = background.outcome(second).unwrap().unwrap_err();
    assert_eq!(failure.error().to_string(), "no luck");

    within("a third", background.spawn(named("c", async {})))
        .await
        .unwrap();
    assert!(background.outcome(first).is_none(), "two are kept");
    assert!(background.outcome(second).is_some());
    let unknown: TaskId = "00000000-0000-8000-8000-000000000001".parse().unwrap();
    assert!(background.handle(unknown).is_none() && background.outcome(unknown).is_none());
}

/// A client may keep an id for longer than the process lives, and the next one counts from 1 again.
#[tokio::test]
async fn a_task_of_another_process_is_not_taken_for_one_of_this() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder.history(10));
    let handle = background.spawn(timeline.waiting("a"));
    let text = handle.id().to_string();
    let first = if text.starts_with('0') { "1" } else { "0" };
    let other: TaskId = format!("{first}{}", &text[1..]).parse().unwrap();
    assert!(background.handle(handle.id()).is_some());
    assert!(background.handle(other).is_none());
    timeline.reached("a").await;
    timeline.mark("a may end");
    let id = handle.id();
    within("the task", handle).await.unwrap();
    assert!(background.outcome(id).is_some() && background.outcome(other).is_none());
}

/// A task of a request that nothing tracks: whoever reads `live` may follow it, and end it.
///
/// P-HANDLE-5
#[tokio::test]
async fn a_task_that_nothing_tracks_is_found_through_the_live_ones_and_aborted() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder);
    let list = tasks![holding(&timeline, "a"), timeline.task("b").always()];
    respond_with(&background, list).await;
    timeline.reached("a").await;
    let live = background.live();
    let [first, second] = &live[..] else {
        panic!("{live:?}");
    };
    assert_eq!(
        (first.task().name(), first.state()),
        ("a", TaskState::Running)
    );
    assert_eq!(
        (second.task().name(), second.state()),
        ("b", TaskState::Waiting)
    );
    assert!(first.since() <= SystemTime::now());
    assert_eq!(first.request().unwrap().path(), "/");
    assert!(
        first.to_string().ends_with(", queued by GET /, running"),
        "{first}"
    );
    let handle = background.handle(first.id()).unwrap();
    handle.abort();
    timeline.reached("dropped").await;
    assert_eq!(
        within("the end", handle).await.unwrap_err().kind(),
        FailureKind::Aborted
    );
    settled(&background, 2).await;
    assert!(background.live().is_empty());
}

/// P-HANDLE-5
#[tokio::test(start_paused = true)]
async fn a_live_task_shows_its_attempt_its_progress_and_since_when() {
    #[derive(Clone)]
    struct Fails;

    impl Task for Fails {
        const DEF: &'static TaskDef = &TaskDef::new("fails")
            .retries(1)
            .backoff(Backoff::fixed(Duration::from_secs(100)));

        async fn run(self, cx: TaskContext) -> TaskResult {
            cx.progress(u64::from(cx.attempt()), 2, "half");
            Err("no luck".into())
        }

        fn try_clone(&self) -> Option<Self> {
            Some(self.clone())
        }
    }

    let (background, _) = background(|builder| builder);
    let handle = background.spawn(Fails);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let live = background.live();
    assert_eq!(live.len(), 1);
    let live = &live[0];
    assert_eq!(live.state(), TaskState::WaitingForRetry);
    assert_eq!(live.attempt(), 2);
    assert_eq!(
        live.progress().map(ToString::to_string).as_deref(),
        Some("1 of 2: half")
    );
    assert_eq!(live.progress(), handle.latest().as_ref());
    let age = SystemTime::now().duration_since(live.since()).unwrap();
    assert!(age >= Duration::from_secs(39), "{age:?}");
    assert!(
        live.to_string()
            .ends_with(", waiting for its next run, attempt 2: 1 of 2: half"),
        "{live}"
    );
    handle.await.unwrap_err();
}

/// Asked for the handle first and then for the outcome, as the documentation says, while tasks end all the time.
///
/// P-HANDLE-5
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_is_polled_while_it_ends_is_never_unknown() {
    let slow_hook = |_: &bg_runtime::TaskFailure| std::thread::sleep(Duration::from_micros(50));
    let builder = Background::builder().history(1_000).on_error(slow_hook);
    let background = builder.build().unwrap();
    for round in 0..1_000 {
        let handle = background.spawn(named("ends", async move {
            if round % 2 == 0 {
                Ok(())
            } else {
                Err("no luck")
            }
        }));
        while let Some(found) = background.handle(handle.id()) {
            assert_eq!(found.id(), handle.id());
        }
        let outcome = background.outcome(handle.id());
        assert!(outcome.is_some(), "round {round}");
        assert_eq!(outcome.unwrap().is_ok(), round % 2 == 0);
    }
}

#[tokio::test]
async fn nothing_is_remembered_without_a_history() {
    let (background, _) = background(|builder| builder);
    let handle = background.spawn(named("a", async {}));
    let id = handle.id();
    within("it", handle).await.unwrap();
    assert!(background.outcome(id).is_none() && background.handle(id).is_none());
}

#[tokio::test]
async fn a_shutdown_leaves_the_outcomes_of_what_it_aborts() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder.history(10).drain_timeout(Duration::ZERO));
    let handle = background.spawn(timeline.waiting("a"));
    timeline.reached("a").await;
    within("the shutdown", background.shutdown()).await;
    let late = background.spawn(timeline.task("late"));
    for id in [handle.id(), late.id()] {
        let failure = background.outcome(id).unwrap().unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Aborted);
    }
    assert!(background.live().is_empty());
}

#[tokio::test]
async fn a_recorded_task_is_tracked_as_well() {
    let timeline = Timeline::new();
    let recorder = Recorder::from_builder(timeline.background().history(10)).unwrap();
    let background: &Background = &recorder;
    let (list, [kept, aborted]) = tracked([timeline.task("a"), timeline.task("b")]);
    respond_with(background, list).await;
    assert_eq!(background.live().len(), 2);
    background.handle(aborted.id()).unwrap().abort();
    recorder.run_all().await;
    within("the kept", kept.clone()).await.unwrap();
    within("the aborted", aborted).await.unwrap_err();
    assert!(timeline.find("b").is_none());
    assert!(background.outcome(kept.id()).unwrap().is_ok());
}

#[tokio::test]
async fn a_blocking_one_off_is_tracked_like_any_other() {
    let (background, _) = background(|builder| builder);
    let (list, [handle]) = tracked([named_blocking("sync", || ())]);
    respond_with(&background, list).await;
    within("the task", handle).await.unwrap();
}

/// The failure of `failures`' hook is told before the handle is.
#[tokio::test]
async fn a_handle_completes_after_the_hooks() {
    let timeline = Timeline::new();
    let failures = Failures::default();
    let hook = failures.hook(&timeline);
    let background = Background::builder().on_error(hook).build().unwrap();
    let (list, [handle]) = tracked([timeline.failing("a")]);
    let waiting = tokio::spawn(handle);
    respond_with(&background, list).await;
    within("the end", waiting).await.unwrap().unwrap_err();
    assert!(timeline.find("a error").is_some());
}

/// "End the rest of the group": a hook that aborts, when the same task has told it.
///
/// P-HANDLE-4
#[tokio::test]
async fn a_task_that_is_aborted_again_stays_aborted() {
    let timeline = Timeline::new();
    let group = Arc::new(Mutex::new(Vec::<TaskHandle>::new()));
    let ended = group.clone();
    let background = Background::builder()
        .on_error(move |_| {
            let group = ended.lock().unwrap().clone();
            group.iter().for_each(TaskHandle::abort);
        })
        .build()
        .unwrap();
    let (list, [handle]) = tracked([holding(&timeline, "a")]);
    list.add_task(timeline.task("behind"));
    group.lock().unwrap().push(handle.clone());
    respond_with(&background, list).await;
    timeline.reached("a").await;
    handle.abort();
    timeline.reached("dropped").await;
    let stats = settled(&background, 2).await;
    assert_eq!((stats.aborted, stats.skipped), (1, 1));
}

/// While another thread asks for its handle, just when it is queued.
///
/// P-HANDLE-4
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_before_the_task_is_queued_is_not_lost() {
    let (background, _) = background(|builder| builder);
    for _ in 0..2_000 {
        let (list, [handle]) = tracked([named("aborted", async {})]);
        handle.abort();
        let id = handle.id();
        let asking = {
            let background = background.clone();
            std::thread::spawn(move || {
                for _ in 0..20 {
                    drop(background.handle(id));
                }
            })
        };
        respond_at_once_with(&background, list).await;
        let failure = within("the task", handle).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Aborted);
        asking.join().unwrap();
    }
}

/// Its arguments may own the `Background`, whose history would own them.
#[tokio::test]
async fn a_history_keeps_no_background_alive() {
    #[background_task(name = "keeps.a.background")]
    async fn keep(#[expect(unused_variables, reason = "it is only owned")] background: Background) {
    }

    let alive = Arc::new(());
    let builder = Background::builder().history(10).state(alive.clone());
    let background = builder.build().unwrap();
    let fails = named("fails", async { Err::<(), _>("no luck") });
    respond_with(&background, tasks![fails, Keep::new(background.clone())]).await;
    drop(background.spawn(Keep::new(background.clone()).delay(Duration::from_secs(3600))));
    assert_eq!(settled_but(&background, 3, 1).await.skipped, 1);
    within("the shutdown", background.shutdown()).await;
    drop(background);
    tests::eventually("the state is dropped", || Arc::strong_count(&alive) == 1).await;
}

/// Waits until all but `open` of `accepted` tasks have an outcome.
async fn settled_but(background: &Background, accepted: u64, open: u64) -> bg_runtime::Stats {
    let is_there = || {
        let stats = background.stats();
        stats.accepted == accepted && stats.pending + stats.running == open
    };
    tests::eventually("the tasks have their outcomes", is_there).await;
    background.stats()
}

/// With `Overflow::Wait`: it waits for room for those of its tasks that are left.
#[tokio::test]
async fn a_response_is_not_held_back_for_a_task_that_was_aborted() {
    let timeline = Timeline::new();
    let (background, _) = background(|builder| builder.max_pending(1, bg_runtime::Overflow::Wait));
    let full = background.spawn(
        timeline
            .task("holds the room")
            .delay(Duration::from_secs(3600)),
    );
    let (list, [first, second]) = tracked([timeline.task("a"), timeline.task("b")]);
    let answered = {
        let background = background.clone();
        tokio::spawn(async move { respond_with(&background, list).await })
    };
    tests::eventually("both wait", || background.stats().accepted == 3).await;
    for handle in [first, second] {
        assert!(!answered.is_finished());
        handle.abort();
        tokio::task::yield_now().await;
    }
    within("the response", answered).await.unwrap();
    full.abort();
    // The room is given back, too.
    respond_with(&background, timeline.task("next")).await;
    assert_eq!(settled(&background, 4).await.completed, 1);
}
