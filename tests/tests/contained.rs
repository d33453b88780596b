//! Code of the application that panics where the library has to call it, and hooks that call back:
//! none of it takes other tasks, the response or the process with it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::panic::panic_any;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::{Router, routing};
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, TaskExt, TaskFailure, TaskResult, after_response,
    background_task, named, named_blocking, tasks,
};
use tests::{eventually, logs, within};
use tower::{ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb");
    }
}

/// Panics when it is displayed.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("unspeakable");
    }
}

impl Error for Unspeakable {}

/// An error that panics when it is dropped.
#[derive(Debug)]
struct Parting(BombInside);

#[derive(Debug)]
struct BombInside;

impl Drop for BombInside {
    fn drop(&mut self) {
        panic!("a parting shot");
    }
}

impl fmt::Display for Parting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("parting")
    }
}

impl Error for Parting {}

type Ran = Arc<Mutex<Vec<&'static str>>>;

fn note(ran: &Ran, what: &'static str) -> bg_runtime::BoxTask {
    let ran = ran.clone();
    named(what, async move { ran.lock().unwrap().push(what) })
}

/// A task that drops a bomb, whether or not it runs.
fn holds_a_bomb() -> bg_runtime::BoxTask {
    let bomb = Bomb;
    named("bomb", async move {
        let _bomb = bomb;
    })
}

async fn answer(background: &Background, handler: routing::MethodRouter) -> StatusCode {
    let app = Router::new().route("/", handler).layer(background.layer());
    let request = Request::get("/").body(Body::empty()).unwrap();
    app.oneshot(request).await.unwrap().status()
}

async fn all_settled(background: &Background) {
    eventually("every task has its outcome", || {
        let stats = background.stats();
        stats.pending + stats.running == 0
    })
    .await;
}

/// P-PANIC-3
#[tokio::test]
async fn a_destructor_that_panics_in_a_skipped_task_harms_nothing_else() {
    let background = Background::builder().on_error(|_| {}).build().unwrap();
    let ran = Ran::default();
    let queued = ran.clone();
    let handler = |tasks: BackgroundTasks| async move {
        tasks.add_task(holds_a_bomb());
        tasks.add_task(holds_a_bomb());
        tasks.add_task(note(&queued, "always").always());
        StatusCode::BAD_REQUEST
    };
    let status = answer(&background, routing::get(handler)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    all_settled(&background).await;
    assert_eq!(*ran.lock().unwrap(), ["always"]);
    let stats = background.stats();
    assert_eq!((stats.completed, stats.skipped), (1, 2));
}

/// P-PANIC-3
#[tokio::test]
async fn errors_that_panic_are_failures_like_any_other() {
    logs::keep();
    let background = Background::builder().build().unwrap();
    let ran = Ran::default();
    let queued = ran.clone();
    let handler = || async move {
        let failing = tasks![
            named("unspeakable", async { Err::<(), _>(Unspeakable) }),
            named("parting", async { Err::<(), _>(Parting(BombInside)) }),
            named("any", async { panic_any(Bomb) }),
            note(&queued, "after them"),
        ];
        (failing.continue_on_error(), "answer")
    };
    answer(&background, routing::get(handler)).await;
    all_settled(&background).await;
    assert_eq!(*ran.lock().unwrap(), ["after them"]);
    let stats = background.stats();
    assert_eq!((stats.completed, stats.failed, stats.aborted), (1, 3, 0));

    let ended = background.spawn(named("unspeakable", async { Err::<(), _>(Unspeakable) }));
    assert_eq!(ended.await.unwrap_err().kind(), FailureKind::Error);
}

/// P-PANIC-3
#[tokio::test]
async fn a_hook_whose_panic_panics_when_dropped_is_survived() {
    let background = Background::builder()
        .on_error(|_| panic_any(Bomb))
        .build()
        .unwrap();
    let failing = || named("failing", async { Err::<(), _>("no") });
    assert!(background.spawn(failing()).await.is_err());
    assert!(background.spawn(failing()).await.is_err());
    assert_eq!(background.stats().failed, 2);
}

/// Alerts about failures with a task, which fails as well.
fn alerting(
    cell: &Arc<Mutex<Option<Background>>>,
) -> impl Fn(&TaskFailure) + Send + Sync + 'static {
    let cell = cell.clone();
    move |_| {
        let background = cell.lock().unwrap().clone().unwrap();
        background.spawn(named("alert", async { Err::<(), _>("no alert today") }));
    }
}

#[tokio::test]
async fn a_hook_may_spawn_a_task_that_fails_and_hears_no_more_of_it() {
    let cell = Arc::default();
    let background = Background::builder().on_error(alerting(&cell)).build();
    let background = background.unwrap();
    *cell.lock().unwrap() = Some(background.clone());

    let failed = background.spawn(named("failing", async { Err::<(), _>("no") }));
    assert!(failed.await.is_err());
    all_settled(&background).await;
    assert_eq!(background.stats().accepted, 2);
}

/// Unlike a failure of a task that a hook queued.
#[tokio::test]
async fn a_failure_of_a_task_that_another_task_queued_reaches_the_hook() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = told.clone();
    let background = Background::builder()
        .on_error(move |failure| notes.lock().unwrap().push(failure.task().name()))
        .build()
        .unwrap();
    let inner = background.clone();
    let queues = named("queues", async move {
        let queued = named("queued", async { Err::<(), _>("no luck") });
        inner.spawn(queued).await.unwrap_err();
    });
    background.spawn(queues).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["queued"]);
}

/// The alert of an application sends a mail, and both fail, like the task that they report.
#[tokio::test]
async fn a_failure_of_a_task_that_a_hooks_task_queued_reaches_no_hook() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (notes, background) = (told.clone(), Arc::new(OnceLock::<Background>::new()));
    let handle = background.clone();
    let built = Background::builder()
        .on_error(move |failure: &TaskFailure| {
            notes.lock().unwrap().push(failure.task().name());
            let background = handle.get().expect("built").clone();
            let inner = background.clone();
            background.spawn(named("alert", async move {
                let blocking = inner.clone();
                let mail = named_blocking("mail", move || {
                    blocking.spawn(named("log", async { Err::<(), _>("no disk") }));
                    Err::<(), _>("no network")
                });
                inner.spawn(mail).await
            }));
        })
        .build()
        .unwrap();
    let background = background.get_or_init(|| built);
    let failing = named("first", async { Err::<(), _>("no luck") });
    background.spawn(failing).await.unwrap_err();
    let all_four = || background.stats().failed == 4;
    eventually("the alert, the mail and the log have failed", all_four).await;
    assert_eq!(*told.lock().unwrap(), ["first"]);
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_spawns_after_a_shutdown_does_not_set_itself_off() {
    let cell = Arc::default();
    let background = Background::builder().on_error(alerting(&cell)).build();
    let background = background.unwrap();
    *cell.lock().unwrap() = Some(background.clone());
    background.spawn(named("endless", std::future::pending::<()>()));
    let report = background.shutdown().await;
    let names: Vec<_> = report
        .unfinished()
        .iter()
        .map(|it| it.task().name())
        .collect();
    assert_eq!(names, ["endless"]);
    assert_eq!(background.stats().aborted, 2, "the task, and the alert");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_that_was_dropped_half_way_loses_no_name() {
    let background = Background::builder()
        .on_error_async(|_| tokio::time::sleep(Duration::from_millis(600)))
        .build()
        .unwrap();
    background.spawn(named("endless", std::future::pending::<()>()));
    // Past the drain timeout and the grace period, and into the wait for the hook.
    let first = Duration::from_millis(31_300);
    let first = tokio::time::timeout(first, background.shutdown()).await;
    assert!(first.is_err());
    let report = background.shutdown().await;
    assert_eq!(report.unfinished().len(), 1);
    assert!(!report.is_clean());
}

#[tokio::test]
async fn the_longest_drain_timeout_is_no_overflow() {
    let background = Background::builder()
        .drain_timeout(Duration::MAX)
        .build()
        .unwrap();
    background.spawn(named("short", async {}));
    let report = within("the shutdown", background.shutdown()).await;
    assert!(report.is_clean());
}

#[background_task(timeout = "50ms")]
fn overdue(ran: &Ran) {
    ran.lock().unwrap().push("overdue");
}

#[test]
fn a_synchronous_task_that_timed_out_before_it_had_a_thread_never_runs() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    runtime.block_on(async {
        let background = Background::builder().on_error(|_| {}).build().unwrap();
        let ran = Ran::default();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let occupies = named_blocking("occupies", move || wait.recv().unwrap());
        let occupies = background.spawn(occupies);
        let late = background.spawn(Overdue::new(ran.clone())).await;
        assert_eq!(late.unwrap_err().kind(), FailureKind::Timeout);
        go_on.send(()).unwrap();
        occupies.await.unwrap();
        // The pool is free, and takes what is in its queue in order.
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert!(ran.lock().unwrap().is_empty());
    });
}

#[derive(Debug)]
struct NotSent(std::io::Error);

impl fmt::Display for NotSent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mail not sent")
    }
}

impl Error for NotSent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[tokio::test]
async fn a_failure_names_the_causes_of_its_error() {
    let background = Background::builder().on_error(|_| {}).build().unwrap();
    let cause = std::io::Error::other("connection refused");
    let task = named("mail", async { TaskResult::Err(NotSent(cause).into()) });
    let failure = background.spawn(task).await.unwrap_err();
    let shown = failure.to_string();
    assert!(
        shown.ends_with("failed: mail not sent: connection refused"),
        "{shown}"
    );
    let source = failure.source().unwrap().to_string();
    assert_eq!(source, "connection refused");
}

#[test]
fn a_failure_whose_async_hook_finds_no_runtime_is_logged() {
    logs::keep();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let background = Background::builder()
        .on_error_async(|_| std::future::pending())
        .build()
        .unwrap();
    runtime.block_on(async {
        background.spawn(named("left-behind", std::future::pending::<()>()));
        tokio::task::yield_now().await;
    });
    drop(runtime);
    assert_eq!(background.stats().aborted, 1);
    assert!(!logs::lines_with("left-behind").is_empty());
}

#[tokio::test]
async fn a_service_that_panics_when_it_is_called_ends_its_request() {
    let background = Background::builder().build().unwrap();
    let service = ServiceBuilder::new()
        .layer(CatchPanicLayer::new())
        .layer(background.layer())
        .service_fn(|request: Request<Body>| {
            after_response(named("always", async {}).always()).unwrap();
            after_response(named("skipped", async {})).unwrap();
            assert!(request.uri().path() == "/right", "in the call itself");
            std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
        });
    let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    background.shutdown().await;
    let stats = background.stats();
    assert_eq!((stats.completed, stats.skipped), (1, 1), "{stats}");
}
