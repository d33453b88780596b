//! What lists allocate, from being made to their end.

use bg_runtime::{Background, BackgroundTasks, BoxTask, WithBackground, named, tasks};
use http::Request;
use stats_alloc::Region;
use tower::{Layer, ServiceExt};

use crate::HEAP;

/// Bytes for each task of a concurrent list before as many tasks.
pub(crate) fn concurrent_first(count: usize) -> f64 {
    bytes(|| {
        let all = BackgroundTasks::concurrent();
        (0..count).for_each(|_| all.add_task(task()));
        let list = tasks![all];
        (0..count).for_each(|_| list.add_task(task()));
        list
    })
}

/// Bytes for each task of as many lists of one task, which are added one by one.
pub(crate) fn small_lists(count: usize) -> f64 {
    bytes(|| {
        let small = || tasks![task()].continue_on_error();
        (0..count).map(|_| small()).collect()
    })
}

/// Bytes for each task of as many lists, one inside the other.
pub(crate) fn nested_lists(count: usize) -> f64 {
    bytes(|| (0..count).fold(BackgroundTasks::new(), |inner, _| tasks![inner, task()]))
}

fn task() -> BoxTask {
    named("nothing", async {})
}

fn bytes(make: impl Fn() -> BackgroundTasks) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let background = Background::builder()
            .build()
            .expect("no task needs a state");
        // The first allocates what all of them share.
        run(&background, tasks![task()]).await;
        let region = Region::new(&HEAP);
        let list = make();
        let tasks = list.len();
        run(&background, list).await;
        region.change().bytes_allocated as f64 / tasks as f64
    })
}

/// Answers a request with this list, and waits for its tasks.
async fn run(background: &Background, list: BackgroundTasks) {
    let completed = background.stats().completed + list.len() as u64;
    let handler = tower::service_fn(move |_: Request<axum::body::Body>| {
        std::future::ready(Ok::<_, std::convert::Infallible>(
            "ok".with_background(list.clone()),
        ))
    });
    let Ok(response) = background
        .layer()
        .layer(handler)
        .oneshot(Request::default())
        .await;
    drop(response);
    while background.stats().completed < completed {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
