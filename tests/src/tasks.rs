//! Tasks that leave marks: their first line marks their name, their end `<name> done`.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use bg_runtime::{
    Background, BackgroundBuilder, BoxTask, FailureKind, IntoTasks, SkipReason, Stats, TaskFailure,
    WithBackground, named,
};
use http::Request;
use tower::{Layer, ServiceExt};

use crate::timeline::{Timeline, eventually};

impl Timeline {
    /// The builder of a `Background` for tasks that have the timeline as their state.
    pub fn background(&self) -> BackgroundBuilder {
        Background::builder().state(self.clone())
    }

    /// A task that succeeds.
    #[track_caller]
    pub fn task(&self, name: &'static str) -> BoxTask {
        named(name, self.work(name))
    }

    /// A task that fails.
    #[track_caller]
    pub fn failing(&self, name: &'static str) -> BoxTask {
        let work = self.work(name);
        named(name, async move {
            work.await;
            Err::<(), _>("no luck")
        })
    }

    /// A task that panics.
    #[track_caller]
    pub fn panicking(&self, name: &'static str) -> BoxTask {
        let work = self.work(name);
        named(name, async move {
            work.await;
            panic!("out of luck");
        })
    }

    /// A task that ends when `<name> may end` is marked.
    #[track_caller]
    pub fn waiting(&self, name: &'static str) -> BoxTask {
        let timeline = self.clone();
        named(name, async move {
            timeline.mark(name);
            timeline.reached(&format!("{name} may end")).await;
            timeline.mark(format!("{name} done"));
        })
    }

    /// Fails if `name` happens within `time`: the only way to show that something does not.
    pub async fn stays_without(&self, name: &str, time: Duration) {
        tokio::time::sleep(time).await;
        assert!(self.find(name).is_none(), "`{name}` happened; {self:?}");
    }
}

/// The failures that a `Background` has reported.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<Mutex<Vec<TaskFailure>>>);

impl Failures {
    /// Keeps every failure, and marks it: the task's name, and the kind.
    pub fn hook(&self, timeline: &Timeline) -> impl Fn(&TaskFailure) + Send + Sync + 'static {
        let (failures, timeline) = (self.clone(), timeline.clone());
        move |failure| {
            failures.0.lock().unwrap().push(failure.clone());
            timeline.mark(format!("{} {}", failure.task().name(), failure.kind()));
        }
    }

    /// The first failure of the task `name`, if there is one.
    pub fn of(&self, name: &str) -> Option<TaskFailure> {
        let failures = self.0.lock().unwrap();
        let of_task = |failure: &&TaskFailure| failure.task().name() == name;
        failures.iter().find(of_task).cloned()
    }

    /// All of them, in the order in which they were told.
    pub fn all(&self) -> Vec<TaskFailure> {
        self.0.lock().unwrap().clone()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

/// A `Background` with these settings, whose failures are kept.
pub fn background(
    settings: impl FnOnce(BackgroundBuilder) -> BackgroundBuilder,
) -> (Background, Failures) {
    let failures = Failures::default();
    let hook = failures.hook(&Timeline::new());
    let background = settings(Background::builder().on_error(hook)).build();
    (background.expect("nothing to refuse"), failures)
}

/// Why a task was skipped.
///
/// # Panics
///
/// If it was not skipped, but failed.
pub fn skip_reason(failure: &TaskFailure) -> SkipReason {
    assert_eq!(failure.kind(), FailureKind::Skipped, "{failure}");
    let reason = failure.error().downcast_ref::<SkipReason>();
    *reason.expect("the error of a skipped task is its reason")
}

/// Answers a request with these tasks, without a server. When this is over, so is the moment that a
/// layer gives the connection: the tasks have been handed over.
pub async fn respond_with(background: &Background, tasks: impl IntoTasks) {
    respond_at_once_with(background, tasks).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Like [`respond_with`], without that moment.
pub async fn respond_at_once_with(background: &Background, tasks: impl IntoTasks) {
    let mut response = Some("ok".with_background(tasks));
    let handler = tower::service_fn(move |_: Request<Body>| {
        let response = response.take().expect("one request");
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let answered = background
        .layer()
        .layer(handler)
        .oneshot(Request::default());
    drop(answered.await);
}

/// Waits until every one of `accepted` tasks has an outcome, and gives the counts.
pub async fn settled(background: &Background, accepted: u64) -> Stats {
    let over = |stats: &Stats| stats.pending == 0 && stats.running == 0;
    let settled = || {
        let stats = background.stats();
        stats.accepted >= accepted && over(&stats)
    };
    eventually("every task has an outcome", settled).await;
    let stats = background.stats();
    assert_eq!(stats.accepted, accepted, "{stats:?}");
    assert!(is_balanced(&stats), "{stats:?}");
    stats
}

/// Returns whether the counts add up: no task is lost, and none is counted twice.
pub fn is_balanced(stats: &Stats) -> bool {
    let over = stats.completed + stats.failed + stats.skipped + stats.aborted;
    stats.accepted == stats.pending + stats.running + over
}
