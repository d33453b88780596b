//! Tasks on threads of their own: nothing that they do there affects the server.

use std::{
    cell::RefCell,
    sync::{Arc, mpsc},
    time::Duration,
};

use axum::{Router, extract::State, routing};
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, after_response, named, named_blocking, tasks,
};
use tests::{
    Client, Flavour, Protocol, Server, Setup, Timeline, eventually, on_every_setup,
    stalls::{Burst, none_is_stalled},
    tasks::{is_balanced, settled},
    within,
};

fn background(threads: usize) -> Background {
    let background = Background::builder().isolated(threads).build();
    background.expect("nothing to refuse")
}

fn thread_name() -> String {
    let thread = std::thread::current();
    thread
        .name()
        .unwrap_or("a thread without a name")
        .to_owned()
}

async fn marks_its_threads(State(timeline): State<Timeline>, tasks: BackgroundTasks) {
    let (first, second, third) = (timeline.clone(), timeline.clone(), timeline.clone());
    tasks.add_task(named("async", async move {
        first.mark(format!("async on {}", thread_name()));
        tokio::task::yield_now().await;
        let late = named("late", async move {
            third.mark(format!("late on {}", thread_name()));
        });
        after_response(late).expect("in a request's task");
    }));
    tasks.add_task(named_blocking("sync", move || {
        second.mark(format!("sync on {}", thread_name()));
    }));
    let member = |name| {
        let timeline = timeline.clone();
        named(name, async move {
            timeline.mark(format!("member on {}", thread_name()));
        })
    };
    let members = BackgroundTasks::concurrent()
        .with_task(member("1"))
        .with_task(member("2"));
    tasks.add_task(members);
    timeline.mark(format!("handler on {}", thread_name()));
}

/// P-ISOLATED-1
#[tokio::test]
async fn every_task_of_a_request_runs_on_a_thread_for_tasks() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(marks_its_threads));
        let server = Server::run_with(setup, &timeline, app, |builder| builder.isolated(1)).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        assert_eq!(settled(server.background(), 5).await.completed, 5);
        for (who, times) in [("async", 1), ("sync", 1), ("late", 1), ("member", 2)] {
            let here = timeline.count(&format!("{who} on background-task"));
            assert_eq!(here, times, "{who} {setup:?} {timeline:?}");
        }
        assert!(timeline.find("handler on background-task").is_none());
    })
    .await;
}

/// P-ISOLATED-1
#[test]
fn synchronous_tasks_have_a_blocking_pool_of_their_own() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        // The server's pool has one thread, which is taken.
        let (free, taken) = mpsc::channel::<()>();
        let waiting = tokio::task::spawn_blocking(move || taken.recv());
        let task = background(1).spawn(named_blocking("sync", || {}));
        within("the task", task).await.unwrap();
        drop(free);
        let _ = waiting.await;
    });
}

#[test]
fn isolated_tasks_run_outside_of_any_runtime() {
    let background = background(1);
    let (done, end) = mpsc::channel();
    drop(background.spawn(named("outside", async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        done.send(thread_name()).unwrap();
    })));
    let name = end.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(name, "background-task");
}

/// P-KEEP-2
#[tokio::test]
async fn a_task_that_blocks_its_thread_never_stalls_its_connection() {
    const BURST: Duration = Duration::from_millis(500);
    none_is_stalled(
        Setup::all(),
        |builder| builder.isolated(1),
        (Burst::Async, BURST),
        20,
    )
    .await;
}

async fn adds_three(State(timeline): State<Timeline>, list: BackgroundTasks) -> &'static str {
    list.add_task(tasks![
        timeline.waiting("waits"),
        timeline.task("next"),
        named_blocking("sync", || {}),
    ]);
    "ok"
}

/// P-SHUTDOWN-1
#[tokio::test]
async fn a_shutdown_waits_for_tasks_on_other_threads() {
    on_every_setup(async |setup| {
        let timeline = Timeline::new();
        let app = Router::new().route("/", routing::get(adds_three));
        let server = Server::run_with(setup, &timeline, app, |builder| builder.isolated(2)).await;
        let mut client = Client::connect(Protocol::Http1, server.address()).await;
        client.fetch("GET", "/").await;
        timeline.reached("waits").await;
        let address = server.address();
        server.begin_stop();
        let refused = || std::net::TcpStream::connect(address).is_err();
        eventually("it stops", refused).await;
        timeline.mark("waits may end");
        let report = server.stopped().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.stats().completed, 3, "{setup:?}");
    })
    .await;
}

/// P-SHUTDOWN-4
#[tokio::test]
async fn a_shutdown_aborts_what_does_not_end_on_other_threads() {
    let timeline = Timeline::new();
    let builder = timeline.background().isolated(1);
    let builder = builder.drain_timeout(Duration::from_millis(20));
    let background = builder.build().unwrap();
    let marks = timeline.clone();
    let handle = background.spawn(named("never.ends", async move {
        marks.mark("started");
        std::future::pending::<()>().await;
    }));
    timeline.reached("started").await;
    let report = within("a shutdown", background.shutdown()).await;
    assert_eq!(report.stats().aborted, 1);
    assert!(is_balanced(&report.stats()));
    assert!(report.to_string().contains("never.ends"), "{report}");
    assert_eq!(handle.await.unwrap_err().kind(), FailureKind::Aborted);
}

#[tokio::test]
async fn a_runtime_that_is_taken_away_takes_no_task_on_other_threads_with_it() {
    let timeline = Timeline::new();
    let app = Router::new().route("/", routing::get(adds_three));
    let settings = |builder: bg_runtime::BackgroundBuilder| builder.isolated(1);
    let server = Server::run_with(Setup::DEFAULT, &timeline, app, settings).await;
    let mut client = Client::connect(Protocol::Http1, server.address()).await;
    client.fetch("GET", "/").await;
    timeline.reached("waits").await;
    let background = server.background().clone();
    tokio::task::spawn_blocking(|| server.kill()).await.unwrap();
    timeline.mark("waits may end");
    assert_eq!(settled(&background, 3).await.completed, 3);
}

/// Marks the end of the thread that it is kept on.
struct EndOfThread(Timeline);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        self.0.mark("thread ended");
    }
}

thread_local! {
    static KEPT: RefCell<Option<EndOfThread>> = const { RefCell::new(None) };
}

/// Dropping the last handle would have to wait for the threads, which one of these threads cannot
/// do.
#[test]
fn the_last_handle_may_be_dropped_in_a_task_and_the_threads_end_with_it() {
    for flavour in [Flavour::CurrentThread, Flavour::Workers(2)] {
        let timeline = Timeline::new();
        let panicked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let before = Arc::new(std::panic::take_hook());
        std::panic::set_hook(Box::new({
            let (before, panicked) = (before.clone(), panicked.clone());
            move |panic| {
                if std::thread::current().name() == Some("background-task") {
                    panicked.lock().unwrap().push(panic.to_string());
                }
                before(panic);
            }
        }));
        flavour.runtime().block_on(async {
            let background = background(1);
            let (inner, marks) = (background.clone(), timeline.clone());
            let handle = background.spawn(named("last", async move {
                KEPT.set(Some(EndOfThread(marks.clone())));
                marks.mark("started");
                marks.reached("outer handle gone").await;
                drop(inner);
            }));
            timeline.reached("started").await;
            drop(background);
            drop(handle);
            timeline.mark("outer handle gone");
            timeline.reached("thread ended").await;
        });
        let panicked = panicked.lock().unwrap();
        assert!(panicked.is_empty(), "{panicked:?}");
    }
}
