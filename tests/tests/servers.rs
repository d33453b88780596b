//! Several servers of one `Background`, at once and in turn: none takes another's tasks away.

use std::pin::pin;
use std::time::Duration;

use axum::{Router, extract::State, routing};
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, Overflow, TaskContext, TaskExt, background_task,
    named,
};
use futures_util::FutureExt;
use tests::{
    Http1, Served, Timeline, eventually,
    tasks::{is_balanced, settled},
    within,
};
use tokio::net::TcpListener;

/// Answers `/` at once; `/task` with a task; `/slow` with a task, when `go on` is marked.
fn app(timeline: &Timeline) -> Router {
    async fn with_task(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
        tasks.add_task(timeline.task("task"));
    }
    async fn slow(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
        tasks.add_task(timeline.task("slow task"));
        timeline.mark("handling");
        timeline.reached("go on").await;
    }
    Router::new()
        .route("/", routing::get(|| async {}))
        .route("/task", routing::get(with_task))
        .route("/slow", routing::get(slow))
        .with_state(timeline.clone())
}

fn background(timeline: &Timeline) -> Background {
    timeline.background().build().unwrap()
}

/// P-SERVERS-1
#[tokio::test]
async fn two_servers_that_stop_during_a_request_finish_it_and_its_task() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let mut public = Served::start(&background, app(&timeline)).await;
    let mut admin = Served::start(&background, app(&timeline)).await;
    let mut client = Http1::connect(public.address).await;
    client.start("GET", "/slow").await;
    timeline.reached("handling").await;
    public.tell().await;
    admin.tell().await;
    let admin = admin.report().await;
    assert!(admin.is_clean(), "{admin}");
    assert_eq!(admin.stats().pending, 1, "{admin}");
    timeline.mark("go on");
    assert_eq!(client.response("GET").await.head.status, 200);
    let public = public.report().await;
    assert!(public.is_clean(), "{public}");
    let stats = public.stats();
    assert_eq!((stats.accepted, stats.completed), (1, 1), "{public}");
}

/// P-SERVERS-1
#[tokio::test]
async fn of_three_servers_that_end_in_any_order_the_last_one_drains() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let timeline = Timeline::new();
        let background = background(&timeline);
        let mut servers = Vec::new();
        for _ in 0..3 {
            servers.push(Some(Served::start(&background, app(&timeline)).await));
        }
        background.spawn(timeline.waiting("waits"));
        timeline.reached("waits").await;
        let [first, second, last] = order.map(|index| servers[index].take().unwrap());
        for ended in [first.stop().await, second.stop().await] {
            assert!(ended.is_clean(), "{ended}");
            let stats = ended.stats();
            assert_eq!((stats.accepted, stats.running), (1, 1), "{ended}");
            assert!(
                ended.to_string().contains("1 left to the servers"),
                "{ended}"
            );
        }
        last.fetch("/task").await;
        timeline.reached("task done").await;
        let mut last = pin!(last.stop());
        assert!(last.as_mut().now_or_never().is_none());
        timeline.mark("waits may end");
        let report = last.await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats().completed, 2, "{report}");
    }
}

/// P-SERVERS-2
#[tokio::test]
async fn a_server_that_begins_after_a_drain_runs_tasks_and_counts_its_own() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    for completed in 1..=3 {
        let server = Served::start(&background, app(&timeline)).await;
        server.fetch("/task").await;
        let report = server.stop().await;
        let stats = report.stats();
        assert_eq!((stats.accepted, stats.completed), (1, 1), "{report}");
        assert_eq!(background.stats().completed, completed);
    }
}

/// P-SERVERS-3
#[tokio::test]
async fn a_task_between_two_servers_is_refused_and_says_why() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let server = Served::start(&background, app(&timeline)).await;
    assert_eq!(server.stop().await.stats().accepted, 0);
    let refused = background.spawn(timeline.task("between")).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind(), FailureKind::Rejected);
    let text = refused.to_string();
    assert!(
        text.contains("drain") && text.contains("call `serve` again"),
        "{text}"
    );
    assert!(timeline.find("between").is_none());

    let server = Served::start(&background, app(&timeline)).await;
    background.spawn(timeline.task("during")).await.unwrap();
    let report = server.stop().await;
    let stats = report.stats();
    assert_eq!((stats.accepted, stats.completed, stats.skipped), (2, 1, 1));
    assert!(report.is_clean(), "{report}");
    assert!(is_balanced(&background.stats()));
}

/// P-SERVERS-4
#[tokio::test]
async fn after_a_shutdown_a_server_is_an_error_and_answers_nothing() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    background.shutdown().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = Http1::connect(address).await;
    client.start("GET", "/").await;
    let served = background.serve(listener, app(&timeline)).await;
    let error = served.unwrap_err();
    assert!(error.to_string().contains("was shut down"), "{error}");
    assert!(client.until_closed().await.is_empty(), "it was answered");
    std::net::TcpStream::connect(address).unwrap_err();
}

/// P-SERVERS-2
#[tokio::test]
async fn a_server_that_begins_during_a_drain_serves_when_that_is_over() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let first = Served::start(&background, app(&timeline)).await;
    background.spawn(timeline.waiting("waits"));
    timeline.reached("waits").await;
    let mut first = pin!(first.stop());
    assert!(first.as_mut().now_or_never().is_none());
    background.stopping().await;

    let second = Served::begin(&background, app(&timeline)).await;
    let mut client = Http1::connect(second.address).await;
    client.start("GET", "/task").await;
    timeline
        .stays_without("task", Duration::from_millis(50))
        .await;
    timeline.mark("waits may end");
    assert_eq!(first.await.stats().completed, 1);
    assert_eq!(client.response("GET").await.head.status, 200);
    let report = second.stop().await;
    assert_eq!((report.stats().accepted, report.stats().completed), (1, 1));
}

/// P-SERVERS-5
#[tokio::test]
async fn a_server_that_is_dropped_leaves_the_drain_to_the_one_that_stops() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let mut told = Served::start(&background, app(&timeline)).await;
    let dropped = Served::start(&background, app(&timeline)).await;
    let mut client = Http1::connect(told.address).await;
    client.start("GET", "/slow").await;
    timeline.reached("handling").await;
    told.tell().await;
    assert!(background.stopping().now_or_never().is_none());
    dropped.end.abort();
    within("the last one was told", background.stopping()).await;
    timeline.mark("go on");
    assert_eq!(client.response("GET").await.head.status, 200);
    let report = told.report().await;
    assert_eq!(report.stats().completed, 1, "{report}");
    let late = background.spawn(timeline.task("late")).await;
    assert_eq!(late.unwrap_err().kind(), FailureKind::Rejected);
}

/// P-SERVERS-5
#[tokio::test]
async fn after_a_drain_that_is_dropped_tasks_go_on_and_are_reported_once() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let mut server = Served::start(&background, app(&timeline)).await;
    background.spawn(timeline.waiting("waits"));
    timeline.reached("waits").await;
    server.tell().await;
    within("the drain", background.stopping()).await;
    server.end.abort();
    assert!(server.end.await.unwrap_err().is_cancelled());
    background.spawn(timeline.task("meanwhile")).await.unwrap();

    let next = Served::start(&background, app(&timeline)).await;
    assert!(background.stopping().now_or_never().is_none());
    background.spawn(timeline.task("after")).await.unwrap();
    timeline.mark("waits may end");
    let report = next.stop().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.stats().accepted, report.stats().completed), (3, 3));
}

/// P-SERVERS-6
#[tokio::test]
async fn tasks_that_wait_are_given_up_only_when_every_server_stops() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let mut first = Served::start(&background, app(&timeline)).await;
    let mut second = Served::start(&background, app(&timeline)).await;
    let later = named("later", async {}).delay(Duration::from_secs(3600));
    let later = background.spawn(later);
    let mut client = Http1::connect(second.address).await;
    client.start("GET", "/slow").await;
    timeline.reached("handling").await;
    first.tell().await;
    assert_eq!(first.report().await.stats().pending, 2);
    second.tell().await;
    let failure = within("the delay is given up", later).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    timeline.mark("go on");
    client.response("GET").await;
    let report = second.report().await;
    assert_eq!(report.unfinished()[0].task().name(), "later");
}

/// P-SERVERS-7
#[tokio::test]
async fn a_shutdown_while_a_server_runs_aborts_the_tasks_of_later_requests() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let server = Served::start(&background, app(&timeline)).await;
    server.fetch("/task").await;
    let report = within("a shutdown", background.shutdown()).await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stats().completed, 1);
    server.fetch("/task").await;
    let stats = settled(&background, 2).await;
    assert_eq!((stats.completed, stats.aborted), (1, 1));
    let report = server.stop().await;
    assert_eq!((report.stats().accepted, report.stats().aborted), (1, 1));
    let again = within("a second shutdown", background.shutdown()).await;
    assert_eq!(again.stats().completed, 1, "it is the first report");
}

/// P-SERVERS-7
#[tokio::test]
async fn a_shutdown_after_a_drain_reports_what_came_in_between() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let server = Served::start(&background, app(&timeline)).await;
    server.fetch("/task").await;
    assert_eq!(server.stop().await.stats().completed, 1);
    background
        .spawn(timeline.task("refused"))
        .await
        .unwrap_err();
    let stats = within("a shutdown", background.shutdown()).await.stats();
    assert_eq!((stats.accepted, stats.completed, stats.skipped), (1, 0, 1));
}

/// Keeps its context for longer than it runs.
#[background_task]
async fn keeps_its_context(
    contexts: tokio::sync::mpsc::UnboundedSender<TaskContext>,
    #[context] cx: TaskContext,
) {
    contexts.send(cx).unwrap();
}

/// P-SERVERS-8
#[tokio::test]
async fn a_context_of_an_ended_server_stays_cancelled_under_the_next() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let (contexts, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let server = Served::start(&background, app(&timeline)).await;
    let task = KeepsItsContext::new(contexts);
    background.spawn(task.clone()).await.unwrap();
    let old = kept.recv().await.unwrap();
    assert!(!old.is_cancelled() && !old.is_stopping());
    server.stop().await;
    assert!(old.is_cancelled() && old.is_stopping());

    let server = Served::start(&background, app(&timeline)).await;
    background.spawn(task).await.unwrap();
    let new = kept.recv().await.unwrap();
    assert!(old.is_cancelled() && old.is_stopping());
    within("cancelled", old.cancelled()).await;
    within("stopping", old.stopping()).await;
    assert!(!new.is_cancelled() && !new.is_stopping());
    server.stop().await;
    assert!(new.is_cancelled());
}

/// A server that takes over before the old one's connections have ended does not ask its tasks to stop.
///
/// P-SERVERS-8
#[tokio::test]
async fn a_server_that_takes_over_does_not_cancel_the_tasks_that_run() {
    let timeline = Timeline::new();
    let background = background(&timeline);
    let (contexts, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let mut old = Served::start(&background, app(&timeline)).await;
    background.spawn(KeepsItsContext::new(contexts.clone()));
    let before = kept.recv().await.unwrap();
    let mut client = Http1::connect(old.address).await;
    client.start("GET", "/slow").await;
    timeline.reached("handling").await;
    old.tell().await;
    within("told", before.stopping()).await;

    let new = Served::start(&background, app(&timeline)).await;
    background.spawn(KeepsItsContext::new(contexts));
    let after = kept.recv().await.unwrap();
    assert!(!after.is_stopping() && !after.is_cancelled());
    assert!(before.is_stopping() && !before.is_cancelled());
    timeline.mark("go on");
    client.response("GET").await;
    assert!(old.report().await.is_clean());
    assert!(!before.is_cancelled());
    assert_eq!(new.stop().await.stats().completed, 3);
    assert!(before.is_cancelled() && after.is_cancelled());
}

/// What the end of a drain closes for good is open again: spawned futures, and the limit of those that wait.
///
/// P-SERVERS-2
#[tokio::test]
async fn after_a_drain_that_aborts_tasks_limits_hold_and_tasks_run_again() {
    let timeline = Timeline::new();
    let builder = timeline.background().max_pending(1, Overflow::Wait);
    let builder = builder.max_concurrent(1).drain_timeout(Duration::ZERO);
    let background = builder.build().unwrap();
    let server = Served::start(&background, app(&timeline)).await;
    background.spawn(named("stuck", std::future::pending::<()>()));
    eventually("it runs", || background.stats().running == 1).await;
    let report = server.stop().await;
    assert_eq!(report.unfinished()[0].task().name(), "stuck");

    let server = Served::start(&background, app(&timeline)).await;
    background.spawn(timeline.waiting("waits"));
    timeline.reached("waits").await;
    // It waits for the only slot, in the only room.
    background.spawn(timeline.task("behind"));
    let mut client = Http1::connect(server.address).await;
    client.start("GET", "/task").await;
    eventually("queued", || background.stats().pending == 2).await;
    let mut response = pin!(client.response("GET"));
    assert!(futures_util::poll!(&mut response).is_pending());
    timeline.mark("waits may end");
    assert_eq!(response.await.head.status, 200);
    timeline.reached("task done").await;
    let report = server.stop().await;
    assert_eq!((report.stats().completed, report.stats().aborted), (3, 0));
}

/// P-SERVERS-2
#[tokio::test]
async fn a_task_added_to_a_response_that_a_drain_has_given_up_runs_at_once() {
    use tower::ServiceExt;
    let timeline = Timeline::new();
    let builder = timeline.background().drain_timeout(Duration::ZERO);
    let background = builder.build().unwrap();
    let server = Served::start(&background, app(&timeline)).await;

    // Under the layer, without a server: the bytes of the response are kept.
    let (lists, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let handler = move |tasks: BackgroundTasks| {
        lists.send(tasks).unwrap();
        async { "ok" }
    };
    let layered = Router::new()
        .route("/", routing::get(handler))
        .layer(background.layer());
    let response = layered
        .oneshot(http::Request::<axum::body::Body>::default())
        .await
        .unwrap();
    let tasks: BackgroundTasks = kept.recv().await.unwrap();
    tasks.add_task(timeline.task("given up"));
    let body = axum::body::to_bytes(response.into_body(), 100).await;
    server.stop().await;
    assert!(timeline.find("given up").is_none());

    let server = Served::start(&background, app(&timeline)).await;
    tasks.add_task(timeline.task("late"));
    timeline.reached("late done").await;
    drop(body);
    assert_eq!(server.stop().await.stats().completed, 1);
}
