//! No more tasks are pending than may wait, and a task that comes while they are counted is not
//! lost.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use axum::{Router, http::StatusCode, routing};
use bg_runtime::{
    Background, BackgroundTasks, FailureKind, Overflow, TaskExt, TaskFailure, background_task,
};
use tests::{Http1, Server, Setup, Timeline, tasks::settled};

/// An argument that looks at the counts when it is shown, which is while its task is refused.
#[derive(Clone)]
struct Looks {
    background: Background,
    seen: Arc<Mutex<Vec<u64>>>,
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending = self.background.stats().pending;
        self.seen.lock().unwrap().push(pending);
        f.write_str("Looks")
    }
}

#[background_task(name = "pending.refused")]
async fn refused(#[expect(unused_variables, reason = "it is only shown")] looks: Looks) {}

#[tokio::test]
async fn a_refused_task_never_counts_as_pending_even_for_a_moment() {
    let background = Background::builder()
        .max_pending(1, Overflow::Reject)
        .on_error(|_: &TaskFailure| {})
        .build()
        .unwrap();
    let looks = Looks {
        background: background.clone(),
        seen: Arc::default(),
    };
    // The runtime's one thread is busy here, so the first task waits.
    let first = background.spawn(Refused::new(looks.clone()));
    let failure = background.spawn(Refused::new(looks.clone())).await;
    assert_eq!(failure.unwrap_err().kind(), FailureKind::Rejected);
    assert_eq!(looks.seen.lock().unwrap()[0], 1);
    first.await.unwrap();
}

#[tokio::test]
async fn a_task_that_is_added_while_a_response_asks_for_room_is_not_dropped() {
    let timeline = Timeline::new();
    let kept = Arc::new(Mutex::new(None::<BackgroundTasks>));
    let (handler, hook) = (kept.clone(), kept);
    let (skipped, added) = (timeline.clone(), timeline.clone());
    let answer = async move |tasks: BackgroundTasks| {
        tasks.add_task(skipped.task("skipped"));
        *handler.lock().unwrap() = Some(tasks);
        StatusCode::NOT_FOUND
    };
    let routes = Router::new().route("/", routing::get(answer));
    let server = Server::run_with(Setup::DEFAULT, &timeline, routes, |builder| {
        builder
            .max_pending(10, Overflow::Wait)
            // The hook is called for the skipped task while the others are looked through.
            .on_error(move |_: &TaskFailure| {
                if let Some(tasks) = hook.lock().unwrap().take() {
                    tasks.add_task(added.task("added").always());
                }
            })
    })
    .await;
    let mut client = Http1::connect(server.address()).await;
    client.fetch("GET", "/").await;
    let stats = settled(server.background(), 2).await;
    assert_eq!((stats.skipped, stats.completed), (1, 1), "{stats}");
}
