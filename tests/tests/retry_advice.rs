//! Errors that say whether and when their task runs again.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context;
use bg_runtime::{
    Background, BoxError, FailureKind, NoRetry, RetryAfter, TaskContext, TaskFailure,
    background_task,
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Debug)]
struct Status(u16);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver answered {}", self.0)
    }
}

impl Error for Status {}

/// Shows, and leads on to, what is behind it, as `#[error(transparent)]` of `thiserror` does.
#[derive(Debug)]
struct Transparent(BoxError);

impl fmt::Display for Transparent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Transparent {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

fn gone() -> NoRetry {
    NoRetry::new(Status(404))
}

fn busy(wait: Duration) -> RetryAfter {
    RetryAfter::new(wait, Status(503))
}

#[background_task(retries = 3, backoff = "1s")]
async fn returns_it() -> Result<(), NoRetry> {
    Err(gone())
}

#[background_task(retries = 3, backoff = "1s")]
async fn boxes_it() -> Result<(), BoxError> {
    Err(gone())?;
    Ok(())
}

#[background_task(retries = 3, backoff = "1s")]
async fn hands_it_to_anyhow() -> anyhow::Result<()> {
    Err(gone())?;
    Ok(())
}

#[background_task(retries = 3, backoff = "1s")]
async fn gives_it_context() -> anyhow::Result<()> {
    Err(gone()).context("the webhook").context("the order")
}

#[background_task(retries = 3, backoff = "1s")]
async fn puts_anyhow_inside() -> Result<(), BoxError> {
    let error = anyhow::Error::from(Status(404)).context("the webhook");
    Err(NoRetry::new(error).into())
}

#[background_task(retries = 3, backoff = "1s")]
async fn wraps_it_in_advice_to_wait() -> Result<(), RetryAfter> {
    Err(RetryAfter::new(HOUR, gone()))
}

#[background_task(retries = 3, backoff = "1s")]
async fn is_transparent() -> Result<(), Transparent> {
    Err(Transparent(gone().into()))
}

#[background_task(retries = 3, backoff = "1s")]
fn is_synchronous() -> Result<(), NoRetry> {
    Err(gone())
}

/// Each failure, with the time at which it was reported.
type Reported = Arc<Mutex<Vec<(Duration, TaskFailure)>>>;

fn background() -> (Background, Reported) {
    let failures = Reported::default();
    let (hook, begun) = (failures.clone(), Instant::now());
    let background = Background::builder()
        .drain_timeout(10 * SECOND)
        .on_error(move |failure: &TaskFailure| {
            hook.lock()
                .unwrap()
                .push((begun.elapsed(), failure.clone()));
        })
        .build()
        .unwrap();
    (background, failures)
}

/// P-RETRY-7
#[tokio::test(start_paused = true)]
async fn no_retry_ends_the_retries_wherever_it_is_in_the_error() {
    let (background, failures) = background();
    let spawned = [
        background.spawn(ReturnsIt),
        background.spawn(BoxesIt),
        background.spawn(HandsItToAnyhow),
        background.spawn(GivesItContext),
        background.spawn(PutsAnyhowInside),
        background.spawn(WrapsItInAdviceToWait),
        background.spawn(IsTransparent),
        background.spawn(IsSynchronous),
    ];
    for task in spawned {
        let failure = task.await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Error, "{failure}");
        assert_eq!(failure.attempt(), 1, "{failure}");
        assert!(!failure.will_retry(), "{failure}");
        let shown = failure.to_string();
        assert_eq!(shown.matches("answered 404").count(), 1, "{shown}");
    }
    assert_eq!(failures.lock().unwrap().len(), 8, "one for each");
    let stats = background.stats();
    assert_eq!((stats.failed, stats.retries), (8, 0), "{stats}");
}

#[tokio::test]
async fn what_no_retry_wraps_can_be_taken_out_of_the_failure() {
    let (background, _) = background();
    let failure = background.spawn(ReturnsIt).await.unwrap_err();
    let wrapper = failure.error().downcast_ref::<NoRetry>().unwrap();
    assert_eq!(wrapper.get_ref().downcast_ref::<Status>().unwrap().0, 404);
}

#[background_task(retries = 3, backoff = "1s..2s")]
async fn deliver(waits: Vec<Option<Duration>>, #[context] cx: TaskContext) -> anyhow::Result<()> {
    match waits.get(cx.attempt() as usize - 1) {
        Some(Some(wait)) => Err(busy(*wait)).context("the webhook"),
        Some(None) => Err(Status(500).into()),
        None => Ok(()),
    }
}

/// P-RETRY-8
#[tokio::test(start_paused = true)]
async fn retry_after_sets_the_one_wait_that_follows_it() {
    let (background, failures) = background();
    let waits = vec![Some(HOUR), Some(Duration::ZERO), None];
    background.spawn(Deliver::new(waits)).await.unwrap();

    let failures = failures.lock().unwrap();
    let at: Vec<_> = failures.iter().map(|(at, _)| at.as_secs()).collect();
    assert_eq!(at, [0, 3600, 3600], "above the backoff's bound, and zero");
    assert!(failures.iter().all(|(_, failure)| failure.will_retry()));
    assert_eq!(background.stats().retries, 3);
}

/// P-RETRY-8
#[tokio::test(start_paused = true)]
async fn retry_after_allows_no_more_runs_than_the_retries() {
    let (background, failures) = background();
    let waits = vec![Some(SECOND); 9];
    let failure = background.spawn(Deliver::new(waits)).await.unwrap_err();
    assert_eq!((failure.attempt(), failure.will_retry()), (4, false));
    let failures = failures.lock().unwrap();
    let will_retry = failures.iter().map(|(_, failure)| failure.will_retry());
    assert_eq!(will_retry.collect::<Vec<_>>(), [true, true, true, false]);
}

/// P-RETRY-8
#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_run_that_was_put_off_beyond_its_end() {
    let (background, failures) = background();
    drop(background.spawn(Deliver::new(vec![Some(HOUR)])));
    tokio::time::sleep(SECOND).await;
    let report = background.shutdown().await;
    assert_eq!(report.elapsed(), Duration::ZERO);
    let kinds: Vec<_> = failures
        .lock()
        .unwrap()
        .iter()
        .map(|(_, failure)| failure.kind())
        .collect();
    assert_eq!(kinds, [FailureKind::Error, FailureKind::Aborted]);
}

#[background_task(retries = 2, backoff = "1s", timeout = "1s")]
async fn hangs_or_panics(panics: bool) -> Result<(), NoRetry> {
    assert!(!panics, "in a run");
    std::future::pending().await
}

/// Neither has an error of the task's that could say anything.
#[tokio::test(start_paused = true)]
async fn a_panic_and_a_timeout_are_retried_as_before() {
    let (background, _) = background();
    for panics in [true, false] {
        let failure = background
            .spawn(HangsOrPanics::new(panics))
            .await
            .unwrap_err();
        assert_eq!(failure.attempt(), 3, "{failure}");
    }
}
