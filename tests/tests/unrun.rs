//! Tasks that did not run, saved by the hook that hears of it.

use std::cell::Cell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use bg_runtime::{
    Background, BackgroundBuilder, BackgroundTasks, BoxTask, FailureKind, IntoTask, Overflow,
    TaskExt, TaskFailure, background_task, named, post, routes, tasks,
};
use tests::tasks::respond_with;
use tower::ServiceExt;

const HOUR: Duration = Duration::from_secs(3600);

/// Its argument is no `Sync`: a task need not be.
#[background_task(name = "mail.count")]
async fn count_mail(count: Cell<u32>) {
    count.set(count.get() + 1);
}

#[background_task(name = "mail.send", retries = 1, backoff = "1h")]
async fn send_mail(to: String) -> Result<(), &'static str> {
    match to.as_str() {
        "fails" => Err("no answer"),
        _ => Ok(()),
    }
}

/// What the hook saved, and how each task had ended.
type Saved = Arc<Mutex<Vec<(FailureKind, Option<String>)>>>;

fn saving(builder: BackgroundBuilder) -> (Background, Saved) {
    let saved = Saved::default();
    let hook = saved.clone();
    let background = builder
        .drain_timeout(Duration::from_secs(1))
        .on_error(move |failure: &TaskFailure| {
            let mail = failure.downcast_ref::<SendMail>();
            let mail = mail.map(|mail| mail.to.clone());
            hook.lock().unwrap().push((failure.kind(), mail));
        })
        .build()
        .unwrap();
    (background, saved)
}

#[track_caller]
fn assert_saved(saved: &Saved, expected: &[(FailureKind, Option<&str>)]) {
    let saved = saved.lock().unwrap();
    let saved: Vec<_> = saved
        .iter()
        .map(|(kind, mail)| (*kind, mail.as_deref()))
        .collect();
    assert_eq!(saved, expected);
}

/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_hook_saves_what_a_shutdown_aborts_on_a_delay_and_behind_it() {
    let (background, saved) = saving(Background::builder());
    let inner = tasks![SendMail::new("in a list"), SendMail::new("behind that")];
    let list = BackgroundTasks::new()
        .with_task(SendMail::new("delayed").delay(HOUR))
        .with_task(SendMail::new("behind"))
        .with_task(inner);
    respond_with(&background, list).await;
    tokio::task::yield_now().await;
    background.shutdown().await;
    let aborted = |to| (FailureKind::Aborted, Some(to));
    assert_saved(
        &saved,
        &["delayed", "behind", "in a list", "behind that"].map(aborted),
    );
}

/// Runs until it is aborted, and marks that it has begun.
fn running(begun: tokio::sync::oneshot::Sender<()>) -> BoxTask {
    named("runs", async move {
        begun.send(()).unwrap();
        std::future::pending::<()>().await;
    })
}

/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_hook_saves_what_a_shutdown_aborts_behind_a_task_that_runs() {
    let reasons = Arc::new(Mutex::new(Vec::new()));
    let hook = reasons.clone();
    let builder = Background::builder().on_error(move |failure: &TaskFailure| {
        hook.lock().unwrap().push(failure.error().to_string());
    });
    let (background, saved) = saving(builder);
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let list = BackgroundTasks::new()
        .with_task(running(begun))
        .with_task(SendMail::new("behind"))
        .with_task(BackgroundTasks::concurrent().with_task(SendMail::new("concurrent")));
    respond_with(&background, list).await;
    has_begun.await.unwrap();
    let report = background.shutdown().await;
    let expected = [
        (FailureKind::Aborted, None),
        (FailureKind::Aborted, Some("behind")),
        (FailureKind::Aborted, Some("concurrent")),
    ];
    assert_saved(&saved, &expected);
    let text = report.to_string();
    let reasons = reasons.lock().unwrap();
    assert_eq!(*reasons, ["the shutdown did not wait any longer"; 3]);
    assert_eq!(report.unfinished().len(), 3, "{text}");
    assert!(
        text.contains("running for 2.0s") && text.contains("not started"),
        "{text}"
    );
}

#[background_task(name = "mail.one", key = to, max_per_key = 1, max_concurrent = 2)]
async fn send_one(to: String) {
    std::future::pending::<()>().await;
    drop(to);
}

/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_hook_saves_what_a_shutdown_aborts_in_line_for_a_slot_or_a_limit() {
    let saved = Arc::new(Mutex::new(Vec::new()));
    let hook = saved.clone();
    let background = Background::builder()
        .max_concurrent(2)
        .on_error(move |failure: &TaskFailure| {
            let one = failure.downcast_ref::<SendOne>().map(|one| one.to.clone());
            let mail = failure
                .downcast_ref::<SendMail>()
                .map(|mail| mail.to.clone());
            hook.lock().unwrap().extend(one.or(mail));
        })
        .drain_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    drop(background.spawn(running(begun)));
    has_begun.await.unwrap();
    // The first has the other slot and the key; of the others, the second of that key waits for it, and the rest
    // for a slot.
    drop(background.spawn(SendOne::new("key")));
    tokio::task::yield_now().await;
    drop(background.spawn(SendOne::new("another key")));
    drop(background.spawn(SendOne::new("key")));
    tokio::task::yield_now().await;
    drop(background.spawn(SendOne::new("slot")));
    respond_with(&background, SendMail::new("list")).await;
    background.shutdown().await;
    let mut saved = saved.lock().unwrap().clone();
    saved.sort();
    assert_eq!(saved, ["another key", "key", "list", "slot"]);
}

/// P-REPORT-7
#[test]
fn a_hook_saves_what_its_runtime_leaves_behind() {
    let (background, saved) = saving(Background::builder());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let list = tasks![running(begun), SendMail::new("behind")];
        respond_with(&background, list).await;
        has_begun.await.unwrap();
    });
    drop(runtime);
    let expected = [
        (FailureKind::Aborted, None),
        (FailureKind::Aborted, Some("behind")),
    ];
    assert_saved(&saved, &expected);
}

/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_hook_saves_what_a_shutdown_aborts_between_two_runs() {
    let (background, saved) = saving(Background::builder());
    let handle = background.spawn(SendMail::new("fails"));
    tokio::time::sleep(Duration::from_secs(1)).await;
    background.shutdown().await;
    let expected = [
        (FailureKind::Error, None),
        (FailureKind::Aborted, Some("fails")),
    ];
    assert_saved(&saved, &expected);
    let failure = handle.await.unwrap_err();
    assert_eq!(failure.attempt(), 1);
    assert_eq!(failure.downcast_ref::<SendMail>().unwrap().to, "fails");
}

/// P-REPORT-7
#[tokio::test]
async fn a_hook_saves_what_a_limit_refuses() {
    let builder = Background::builder().max_pending(1, Overflow::Reject);
    let (background, saved) = saving(builder);
    drop(background.spawn(named("waits", async {}).delay(HOUR)));
    background.spawn(SendMail::new("one")).await.unwrap_err();
    let refused: [BoxTask; 2] = [
        SendMail::new("two").timeout(HOUR),
        SendMail::new("three").into_task(),
    ];
    for task in refused {
        background.spawn(task).await.unwrap_err();
    }
    let rejected = |to| (FailureKind::Rejected, Some(to));
    assert_saved(&saved, &["one", "two", "three"].map(rejected));
}

#[post("/", background = SendMail::new("of the route"))]
async fn refuse(tasks: BackgroundTasks) -> StatusCode {
    tasks.add_task(SendMail::new("of the handler"));
    StatusCode::FORBIDDEN
}

/// P-REPORT-7
#[tokio::test]
async fn a_hook_saves_what_an_error_response_skips() {
    let (background, saved) = saving(Background::builder());
    let app: Router = routes![refuse].layer(background.layer());
    let request = Request::post("/").body(Body::empty()).unwrap();
    drop(app.oneshot(request).await.unwrap());
    let skipped = |to| (FailureKind::Skipped, Some(to));
    assert_saved(&saved, &["of the route", "of the handler"].map(skipped));
}

/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_task_that_a_run_has_consumed_is_not_in_its_failure() {
    let (background, saved) = saving(Background::builder());
    let failure = background
        .spawn(SendMail::new("fails").retries(0))
        .await
        .unwrap_err();
    assert!(failure.downcast_ref::<SendMail>().is_none());
    background.spawn(SendMail::new("fails")).await.unwrap_err();
    let failed = (FailureKind::Error, None);
    assert_saved(&saved, &[failed, failed, failed]);
}

/// It need not be `Sync` to be dropped with its failure, on any thread.
#[tokio::test]
async fn a_refused_task_that_is_not_sync_is_reported_as_well() {
    let (background, saved) = saving(Background::builder().max_pending(1, Overflow::Reject));
    drop(background.spawn(named("waits", async {}).delay(HOUR)));
    let refused = background.spawn(CountMail::new(Cell::new(7)));
    let failure = refused.await.unwrap_err();
    std::thread::spawn(move || drop(failure)).join().unwrap();
    assert_saved(&saved, &[(FailureKind::Rejected, None)]);
}

/// For as long as one after the other is reported, however long that takes.
///
/// P-REPORT-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_hook_saves_every_task_that_a_shutdown_aborts() {
    const TASKS: u32 = 150;
    let saved = Arc::new(Mutex::new(Vec::new()));
    let hook = saved.clone();
    let background = Background::builder()
        .max_concurrent(1)
        .drain_timeout(Duration::ZERO)
        .on_error(move |failure: &TaskFailure| {
            if let Some(mail) = failure.downcast_ref::<SendMail>() {
                // Two at a time take more than the time in which one has to be dropped.
                std::thread::sleep(Duration::from_millis(3));
                hook.lock().unwrap().push(mail.to.clone());
            }
        })
        .build()
        .unwrap();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    drop(background.spawn(running(begun)));
    has_begun.await.unwrap();
    for number in 0..TASKS / 3 {
        drop(background.spawn(SendMail::new(format!("spawned {number}"))));
    }
    let list = BackgroundTasks::new();
    for number in 0..TASKS / 3 * 2 {
        list.add_task(SendMail::new(format!("in a list {number}")));
    }
    respond_with(&background, list).await;
    let report = background.shutdown().await;
    assert_eq!(report.unfinished().len(), TASKS as usize + 1);
    assert_eq!(saved.lock().unwrap().len(), TASKS as usize);
}

/// A copy for another run is left, but this one may have done its work in part.
///
/// P-REPORT-7
#[tokio::test(start_paused = true)]
async fn a_task_that_runs_when_a_shutdown_aborts_it_is_not_in_its_failure() {
    #[background_task(name = "hangs", retries = 3)]
    async fn hang(to: String) -> Result<(), String> {
        std::future::pending::<()>().await;
        Err(to)
    }

    let background = Background::builder()
        .drain_timeout(Duration::ZERO)
        .build()
        .unwrap();
    let handle = background.spawn(Hang::new("a@b.c"));
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(background.stats().running, 1);
    background.shutdown().await;
    let failure = handle.await.unwrap_err();
    assert_eq!(
        (failure.kind(), failure.attempt()),
        (FailureKind::Aborted, 1)
    );
    assert!(failure.downcast_ref::<Hang>().is_none());
}
