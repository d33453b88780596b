//! Stopping: what was accepted is finished, or named; nothing is lost in silence.

use std::pin::pin;
use std::time::{Duration, Instant};

use axum::{Router, body::Body, extract::State, routing};
use bg_runtime::{
    BackgroundTasks, FailureKind, RequestInfo, TaskContext, TaskExt, background_task, get, named,
    routes,
};
use futures_util::FutureExt;
use tests::{
    Client, Flavour, Http1, Protocol, Server, Serving, Setup, Timeline, eventually, on_every_setup,
    tasks::{is_balanced, settled},
    within,
};

const SHORT: Duration = Duration::from_millis(100);

#[get("/", background = [timeline.waiting("route"), timeline.task("next")])]
async fn slow_task(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.task("handler"));
    "ok"
}

/// P-SHUTDOWN-1
#[tokio::test]
async fn a_shutdown_waits_for_the_tasks_that_were_accepted() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![slow_task]).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        timeline.reached("route").await;
        let (background, address) = (server.background().clone(), server.address());
        server.begin_stop();
        // The port is closed when the server has begun to stop; the task is not disturbed by it.
        eventually("closed", || std::net::TcpStream::connect(address).is_err()).await;
        let stats = background.stats();
        assert_eq!((stats.running, stats.pending), (1, 2));
        timeline.mark("route may end");
        let report = server.stopped().await;
        assert_eq!(report.stats().completed, 3);
        assert!(report.unfinished().is_empty(), "{report}");
        let names = timeline.names();
        assert_eq!(names[names.len() - 2..], ["handler", "handler done"]);
    })
    .await;
}

/// P-SHUTDOWN-1
#[tokio::test]
async fn a_request_in_flight_is_answered_and_its_tasks_run() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        async fn handle(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
            tasks.add_task(timeline.task("task"));
            timeline.mark("handling");
            timeline.reached("go on").await;
            "ok"
        }
        let app = Router::new().route("/", routing::get(handle));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        timeline.reached("handling").await;
        let address = server.address();
        server.begin_stop();
        eventually("closed", || std::net::TcpStream::connect(address).is_err()).await;
        timeline.mark("go on");
        assert_eq!(client.response("GET").await.body, "ok");
        let report = server.stopped().await;
        assert_eq!(report.stats().completed, 1, "{setup:?}");
    })
    .await;
}

/// P-SHUTDOWN-6
#[tokio::test]
async fn idle_keep_alive_connections_do_not_hold_a_shutdown_up() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        timeline.mark("route may end");
        let server = Server::run(setup, &timeline, routes![slow_task]).await;
        let mut clients = Vec::new();
        for protocol in [Protocol::Http1, Protocol::Http2, Protocol::Http1] {
            let mut client = Client::connect(protocol, server.address()).await;
            client.fetch("GET", "/").await;
            clients.push(client);
        }
        let begun = Instant::now();
        let report = server.stop().await;
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(report.stats().completed, 9);
        drop(clients);
    })
    .await;
}

/// Ends when it is told that no time is left.
#[background_task]
async fn gives_in(#[context] cx: TaskContext, #[state] timeline: Timeline) {
    timeline.mark("gives-in");
    cx.cancelled().await;
    timeline.mark("gives-in done");
}

/// Loops until it is asked to end.
#[background_task]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a task owns what it is given"
)]
fn gives_in_blocking(#[context] cx: TaskContext, #[state] timeline: Timeline) {
    timeline.mark("gives-in-blocking");
    while !cx.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1));
    }
    timeline.mark("gives-in-blocking done");
}

/// Does not listen.
#[background_task(name = "stubborn")]
async fn never_ends(#[state] timeline: Timeline) {
    timeline.mark("stubborn");
    std::future::pending::<()>().await;
}

/// Waits for its turn, in vain.
#[background_task(name = "waits.in.vain")]
async fn waits_in_vain() {}

#[get("/polite", background = GivesIn)]
async fn polite() {}

#[get("/polite-blocking", background = GivesInBlocking)]
async fn polite_blocking() {}

#[get("/stubborn", background = [NeverEnds, WaitsInVain])]
async fn stubborn() {}

async fn run_short(setup: Setup, timeline: &Timeline, app: Router<Timeline>) -> Server {
    Server::run_with(setup, timeline, app, |builder| builder.drain_timeout(SHORT)).await
}

#[background_task]
async fn looks_at_once(#[context] cx: TaskContext) {
    assert!(!cx.is_cancelled());
}

#[background_task]
#[expect(
    clippy::needless_pass_by_value,
    reason = "a task owns what it is given"
)]
fn looks_at_once_blocking(#[context] cx: TaskContext) {
    assert!(!cx.is_cancelled());
}

/// P-SHUTDOWN-3
#[tokio::test]
async fn before_the_drain_timeout_no_task_is_asked_to_end() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let waits = background.spawn(timeline.waiting("waits"));
    let mut shutdown = pin!(background.shutdown());
    assert!((&mut shutdown).now_or_never().is_none(), "it waits");
    background.spawn(LooksAtOnce).await.unwrap();
    background.spawn(LooksAtOnceBlocking).await.unwrap();
    timeline.mark("waits may end");
    waits.await.unwrap();
    assert!(shutdown.await.is_clean());
}

/// P-SHUTDOWN-3
#[tokio::test]
async fn at_the_drain_timeout_tasks_are_asked_to_end_and_may() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![polite, polite_blocking];
        let server = run_short(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/polite").await;
        client.fetch("GET", "/polite-blocking").await;
        timeline.reached("gives-in").await;
        timeline.reached("gives-in-blocking").await;
        let begun = Instant::now();
        let report = server.stop().await;
        assert!(begun.elapsed() >= SHORT, "asked too early");
        assert_eq!(report.stats().completed, 2, "{report}");
        assert!(report.unfinished().is_empty(), "{report}");
        assert!(timeline.find("gives-in done").is_some());
    })
    .await;
}

/// P-SHUTDOWN-4
#[tokio::test]
async fn a_shutdown_aborts_and_names_every_task_that_does_not_end() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = routes![stubborn, polite];
        let server = run_short(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/stubborn").await;
        client.fetch("GET", "/polite").await;
        timeline.reached("stubborn").await;
        timeline.reached("gives-in").await;
        let failures = server.failures().clone();
        let background = server.background().clone();
        let report = server.stop().await;
        let stats = report.stats();
        assert_eq!((stats.completed, stats.aborted), (1, 2), "{report}");
        assert!(is_balanced(&stats));
        assert_eq!(background.stats(), stats);

        let names = report.unfinished().iter().map(|task| task.task().name());
        assert_eq!(names.collect::<Vec<_>>(), ["stubborn", "waits.in.vain"]);
        let [running, waiting] = report.unfinished() else {
            panic!("{report}");
        };
        assert!(running.running_for().is_some_and(|time| time >= SHORT));
        assert!(waiting.running_for().is_none());
        assert_eq!(running.request().map(RequestInfo::path), Some("/stubborn"));
        for name in ["stubborn", "waits.in.vain", "shutdown.rs"] {
            assert!(report.to_string().contains(name), "{report}");
        }
        for name in ["stubborn", "waits.in.vain"] {
            let failure = failures.of(name).expect("reported");
            assert_eq!(failure.kind(), FailureKind::Aborted);
        }
    })
    .await;
}

/// P-SHUTDOWN-6
#[tokio::test]
async fn an_endless_response_does_not_hold_a_shutdown_up_for_ever() {
    for flavour in Flavour::ALL {
        let setup = Setup {
            flavour,
            serving: Serving::Background,
        };
        let timeline = Timeline::new();
        async fn endless(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> Body {
            tasks.add_task(timeline.task("task"));
            timeline.mark("answering");
            let first = futures_util::stream::iter([Ok::<_, std::convert::Infallible>("first")]);
            let rest = futures_util::stream::pending();
            Body::from_stream(futures_util::StreamExt::chain(first, rest))
        }
        let app = Router::new().route("/", routing::get(endless));
        let server = run_short(setup, &timeline, app).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("GET", "/").await;
        timeline.reached("answering").await;
        let report = server.stop().await;
        let stats = report.stats();
        assert!(is_balanced(&stats));
        assert_eq!(stats.pending + stats.running, 0);
        assert_eq!(stats.accepted, 1);
        // It never ran, so it is named.
        if stats.completed == 0 {
            assert_eq!(report.unfinished().len(), 1, "{report}");
        }
    }
}

#[bg_runtime::post("/", detach, background = timeline.task("task"))]
async fn pay(State(timeline): State<Timeline>) {
    timeline.mark("paying");
    timeline.reached("go on").await;
}

/// P-SHUTDOWN-1
#[tokio::test]
async fn a_detached_handler_whose_client_has_left_is_waited_for() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![pay]).await;
        let mut client = Http1::connect(server.address()).await;
        client.start("POST", "/").await;
        timeline.reached("paying").await;
        client.reset();
        let address = server.address();
        server.begin_stop();
        eventually("closed", || std::net::TcpStream::connect(address).is_err()).await;
        timeline.mark("go on");
        let report = server.stopped().await;
        assert_eq!(report.stats().completed, 1, "{setup:?} {report}");
        assert!(timeline.find("task done").is_some());
    })
    .await;
}

/// P-SHUTDOWN-7
#[tokio::test]
async fn a_task_that_comes_after_a_shutdown_is_aborted_and_reported() {
    let timeline = Timeline::new();
    let failures = tests::tasks::Failures::default();
    let background = timeline
        .background()
        .on_error(failures.hook(&timeline))
        .build()
        .unwrap();
    background.spawn(timeline.task("before")).await.unwrap();
    let report = background.shutdown().await;
    assert_eq!(report.stats().completed, 1);
    let failure = background.spawn(timeline.task("after")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Aborted);
    assert!(timeline.find("after").is_none());
    assert_eq!(failures.of("after").unwrap().kind(), FailureKind::Aborted);
    let stats = background.stats();
    assert_eq!((stats.accepted, stats.completed, stats.aborted), (2, 1, 1));
    // Asking again gives an answer, and no second wait.
    let again = within("a second shutdown", background.shutdown()).await;
    assert!(again.unfinished().is_empty());
}

/// P-SHUTDOWN-1
#[tokio::test]
async fn a_task_that_is_queued_while_the_shutdown_waits_is_waited_for() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let (inner, list) = (background.clone(), timeline.clone());
    background.spawn(named("first", async move {
        list.mark("first");
        list.reached("go on").await;
        inner.spawn(list.task("second"));
    }));
    timeline.reached("first").await;
    let shutdown = tokio::spawn({
        let background = background.clone();
        async move { background.shutdown().await }
    });
    timeline.mark("go on");
    let report = within("a shutdown", shutdown).await.unwrap();
    assert_eq!(report.stats().completed, 2, "{report}");
    assert!(timeline.find("second done").is_some());
}

/// P-REPORT-3
#[tokio::test]
async fn an_async_error_hook_is_waited_for() {
    let timeline = Timeline::new();
    let hook = timeline.clone();
    let background = timeline
        .background()
        .on_error_async(move |failure| {
            let hook = hook.clone();
            async move {
                hook.mark(format!("told of {}", failure.task().name()));
                tokio::time::sleep(Duration::from_millis(30)).await;
                hook.mark("told");
            }
        })
        .build()
        .unwrap();
    background
        .spawn(timeline.failing("sick"))
        .await
        .unwrap_err();
    background.shutdown().await;
    assert!(timeline.find("told of sick").is_some());
    assert!(timeline.find("told").is_some(), "the hook was cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_hook_has_returned_when_a_shutdown_is_over() {
    let (telling, mut is_telling) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let builder = Timeline::new().background().on_error(move |_| {
        // An error means that the test has failed already.
        let _ = telling.send(());
        let _ = may_go_on.lock().unwrap().recv();
    });
    let background = builder.build().unwrap();
    background.spawn(named("fails", async { Err::<(), _>("no luck") }));
    is_telling.recv().await.unwrap();
    assert_eq!(background.stats().failed, 1);

    let mut shutdown = pin!(background.shutdown());
    assert!(shutdown.as_mut().now_or_never().is_none());
    go_on.send(()).unwrap();
    within("the end of the shutdown", shutdown).await;
}

/// P-STATS-1
#[tokio::test]
async fn the_counts_balance_at_every_moment() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        async fn mixed(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
            let quiet = |name, fails: bool| {
                named(name, async move {
                    tokio::task::yield_now().await;
                    if fails { Err("no luck") } else { Ok(()) }
                })
            };
            tasks.add_task(quiet("1", false));
            tasks.add_task(quiet("2", true));
            tasks.add_task(quiet("3", false));
            let _ = timeline;
            "ok"
        }
        let app = Router::new().route("/", routing::get(mixed));
        let server = Server::run(setup, &timeline, app).await;
        let background = server.background().clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        // A thread that does nothing but look.
        let looking = std::thread::spawn(move || {
            let mut last = background.stats();
            let mut looks = 0_u64;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let stats = background.stats();
                assert!(is_balanced(&stats), "{stats:?}");
                assert!(stats.accepted >= last.accepted && stats.completed >= last.completed);
                assert!(stats.failed >= last.failed && stats.skipped >= last.skipped);
                last = stats;
                looks += 1;
            }
            looks
        });
        let clients = (0..8).map(|_| {
            let address = server.address();
            tokio::spawn(async move {
                let mut client = Client::connect(Protocol::Http1, address).await;
                for _ in 0..25 {
                    client.fetch("GET", "/").await;
                }
            })
        });
        let clients: Vec<_> = clients.collect();
        for client in clients {
            client.await.unwrap();
        }
        let stats = settled(server.background(), 600).await;
        assert_eq!(
            (stats.completed, stats.failed, stats.skipped),
            (200, 200, 200)
        );
        drop(stop);
        assert!(looking.join().unwrap() > 0);
    })
    .await;
}

/// `axum::serve` alone returns while tasks run; awaiting the tracker finishes all of them.
///
/// P-SHUTDOWN-1
#[tokio::test]
async fn of_a_hundred_tasks_at_exit_a_hundred_finish() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        async fn slow(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
            tasks.add_task(named("slow", async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                timeline.mark("slow done");
            }));
            "ok"
        }
        let app = Router::new().route("/", routing::get(slow));
        let server = Server::run(setup, &timeline, app).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        for _ in 0..100 {
            client.fetch("GET", "/").await;
        }
        let report = server.stop().await;
        assert_eq!(timeline.count("slow done"), 100, "{setup:?} {report}");
        assert_eq!(report.stats().completed, 100);
    })
    .await;
}

#[tokio::test]
async fn every_task_whose_runtime_is_taken_away_is_counted_as_aborted() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let server = Server::run(setup, &timeline, routes![slow_task, polite]).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        timeline.reached("route").await;
        let background = server.background().clone();
        let failures = server.failures().clone();
        tokio::task::spawn_blocking(|| server.kill()).await.unwrap();
        let stats = settled(&background, 3).await;
        assert_eq!(stats.aborted, 3, "{setup:?}");
        assert_eq!(failures.count(), 3);
    })
    .await;
}

/// P-SHUTDOWN-9
#[tokio::test]
async fn a_shutdown_names_the_tasks_whose_runtime_is_gone_meanwhile() {
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let other = Flavour::Workers(1).runtime();
    {
        let _entered = other.enter();
        background.spawn(timeline.waiting("waits"));
    }
    timeline.reached("waits").await;
    let mut shutdown = pin!(background.shutdown());
    assert!(shutdown.as_mut().now_or_never().is_none());
    other.shutdown_background();
    let report = within("a shutdown", shutdown).await;
    assert_eq!(report.stats().aborted, 1, "{report}");
    assert!(!report.is_clean());
    assert_eq!(report.unfinished()[0].task().name(), "waits");
    assert!(
        report.to_string().contains("not finished: waits"),
        "{report}"
    );
}

/// P-SHUTDOWN-9
#[tokio::test]
async fn a_shutdown_names_the_tasks_whose_runtime_was_gone_before() {
    const TASKS: usize = 1_002;
    let background = Timeline::new().background().build().unwrap();
    let other = Flavour::CurrentThread.runtime();
    {
        let _entered = other.enter();
        for _ in 0..TASKS {
            background.spawn(named("never runs", async {}));
        }
    }
    other.shutdown_background();
    background.spawn(named("runs", async {})).await.unwrap();
    let report = background.shutdown().await;
    let stats = report.stats();
    assert_eq!((stats.completed, stats.aborted), (1, 1_002), "{stats}");
    assert!(!report.is_clean());
    // There is no bound on how many there are in a program that runs for long.
    assert_eq!(report.unfinished().len(), 1_000);
    assert!(report.to_string().ends_with("not finished: 2 more"));
}

/// P-SHUTDOWN-10
#[tokio::test]
async fn a_sync_task_that_an_ending_runtime_refuses_is_aborted() {
    for retried in [false, true] {
        let timeline = Timeline::new();
        let failures = tests::tasks::Failures::default();
        let background = timeline
            .background()
            .on_error(failures.hook(&timeline))
            .build()
            .unwrap();
        let other = Flavour::Workers(1).runtime();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let first = timeline.clone();
        // Blocks its thread until the runtime is ending, and then the list goes on in the same poll.
        let list = bg_runtime::tasks![
            named("first", async move {
                first.mark("first");
                may_go_on.recv().unwrap();
            }),
            Refused.retries(u32::from(retried) * 3),
            Refused,
        ];
        {
            let (background, _entered) = (background.clone(), other.enter());
            other.spawn(async move { tests::tasks::respond_with(&background, list).await });
        }
        timeline.reached("first").await;
        other.shutdown_background();
        go_on.send(()).unwrap();
        let stats = settled(&background, 3).await;
        assert_eq!((stats.completed, stats.aborted), (1, 2), "{stats}");
        assert_eq!(stats.retries, 0);
        assert_eq!(failures.count(), 2);
        for failure in failures.all() {
            assert_eq!(failure.kind(), FailureKind::Aborted, "{failure}");
            assert!(
                failure.to_string().contains("no tokio runtime is left"),
                "{failure}"
            );
        }
        assert!(!background.shutdown().await.is_clean());
    }
}

/// Never has a thread.
#[background_task]
fn refused() {
    unreachable!("its runtime is ending");
}

#[test]
fn the_tasks_of_a_response_dropped_outside_a_runtime_are_aborted() {
    use tower::ServiceExt;
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app = Router::new()
        .route("/", routing::get(adds_one))
        .with_state(timeline.clone())
        .layer(background.layer());
    let request = http::Request::new(Body::empty());
    let runtime = Flavour::CurrentThread.runtime();
    let response = runtime.block_on(app.oneshot(request)).unwrap();
    assert_eq!(background.stats().pending, 1);
    drop(runtime);
    drop(response);
    let stats = background.stats();
    assert_eq!((stats.accepted, stats.aborted), (1, 1), "{stats:?}");
    assert!(timeline.find("task").is_none());
}

async fn adds_one(State(timeline): State<Timeline>, tasks: BackgroundTasks) -> &'static str {
    tasks.add_task(timeline.task("task"));
    "ok"
}

/// In a test without a server, tasks start when the body and its bytes are dropped.
///
/// P-AFTER-6
#[tokio::test]
async fn without_a_server_a_task_starts_when_the_bytes_of_the_body_are_dropped() {
    use http_body_util::BodyExt;
    use tower::ServiceExt;
    let timeline = Timeline::new();
    let background = timeline.background().build().unwrap();
    let app = Router::new()
        .route("/", routing::get(adds_one))
        .with_state(timeline.clone())
        .layer(background.layer());
    let request = http::Request::new(Body::empty());
    let response = app.oneshot(request).await.unwrap();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, "ok");
    timeline
        .stays_without("task", Duration::from_millis(50))
        .await;
    drop(bytes);
    timeline.reached("task done").await;
    assert_eq!(settled(&background, 1).await.completed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_is_not_over_while_a_hook_still_runs() {
    let timeline = Timeline::new();
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let telling = timeline.clone();
    let background = timeline
        .background()
        .on_error(move |_| {
            telling.mark("telling");
            let _ = released.lock().unwrap().recv();
            telling.mark("told");
        })
        .build()
        .unwrap();
    background.spawn(timeline.failing("last"));
    timeline.reached("telling").await;
    assert_eq!(background.stats().failed, 1);

    let mut shutdown = std::pin::pin!(background.shutdown());
    assert!(futures_util::poll!(&mut shutdown).is_pending());
    release.send(()).unwrap();
    shutdown.await;
    assert!(timeline.find("told").is_some());
}

/// The deadline is known when the signal comes, and not only when the last connection has ended.
#[tokio::test]
async fn a_task_that_waits_for_too_long_is_given_up_while_connections_are_open() {
    let timeline = Timeline::new();
    async fn handle(State(timeline): State<Timeline>) -> &'static str {
        timeline.mark("handling");
        timeline.reached("go on").await;
        "ok"
    }
    let app = Router::new().route("/", routing::get(handle));
    let server = Server::run(Setup::DEFAULT, &timeline, app).await;
    let later = named("later", async {}).delay(Duration::from_secs(3600));
    server.background().spawn(later);
    let mut client = Http1::connect(server.address()).await;
    client.start("GET", "/").await;
    timeline.reached("handling").await;
    server.begin_stop();
    let background = server.background().clone();
    eventually("given up", || background.stats().aborted == 1).await;
    timeline.mark("go on");
    assert_eq!(client.response("GET").await.body, "ok");
    let report = server.stopped().await;
    assert_eq!(report.unfinished()[0].task().name(), "later");
}
