//! A Redis that loses its memory: its tasks are gone, whoever waits for them is told so, and whoever works goes on.

use std::time::{Duration, SystemTime};

use bg_runtime::durable::{EnqueueError, SecretKey};
use bg_runtime::{Background, TaskExt};
use futures_util::StreamExt as _;
use futures_util::stream;
use tests::durable::{DatabaseServer as _, Place, RedisServer, redis_client};
use tests::{eventually, within};

use crate::outages::store_until;
use crate::tasks::{Export, Hold, KEY, Lab, Note};

fn background(lab: &Lab, place: &Place) -> Background {
    let store = place.store().secret_keys([SecretKey::new(KEY)]);
    let store = store.store_timeout(Duration::from_secs(1));
    let builder = Background::builder().state(lab.clone()).durable(store);
    builder.build().expect("nothing to refuse")
}

async fn goes_on_without_it(place: &Place, name: &'static str, loss: impl AsyncFnOnce()) {
    let lab = Lab::new();
    let [creator, worker] = [(); 2].map(|()| background(&lab, place));
    worker.start().await.unwrap();
    let in_an_hour = || SystemTime::now() + Duration::from_secs(3600);
    let mut exports = Vec::new();
    for _ in 0..2 {
        let export = Export::new("ada").at(in_an_hour());
        exports.push(creator.enqueue(export).await.unwrap());
    }
    let third = creator.enqueue(Export::new("ada")).await.unwrap_err();
    assert!(matches!(third, EnqueueError::TooMany { .. }), "{third:?}");
    let held = creator.enqueue(Hold::new("held")).await.unwrap();
    lab.timeline.reached("held 1").await;
    let waits = tokio::spawn({
        let task = creator.stored().get(exports[0]);
        async move { task.outcome().await }
    });
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let storing = tokio::spawn(store_until(creator.clone(), name, stopped));
    lab.timeline.reached(&format!("{name} 20")).await;
    loss().await;
    let before = lab.timeline.names().len();
    eventually("new tasks run", || lab.timeline.names().len() > before + 20).await;
    stop.send_replace(true);
    let (stored, refused) = within("the last task", storing).await.unwrap();
    // None hangs, and none fails for another reason.
    let forgotten = "the store does not have it";
    let ends = stream::iter(&stored).map(|id| {
        let task = creator.stored().get(*id);
        async move { within("an answer", task.outcome()).await.err() }
    });
    let lost: Vec<_> = ends
        .buffer_unordered(20)
        .filter_map(std::future::ready)
        .collect()
        .await;
    for failure in &lost {
        assert!(failure.to_string().contains(forgotten), "{failure}");
    }
    println!(
        "{name}: stored={} refused={refused} forgotten={}",
        stored.len(),
        lost.len()
    );
    assert!(!lost.is_empty(), "its memory was lost");
    let waited = within("who waited is told", waits).await.unwrap();
    let waited = waited.unwrap_err().to_string();
    assert!(waited.contains(forgotten), "{waited}");
    // A run that nobody knows of is told, and its end is written nowhere.
    lab.timeline.reached("held cancelled").await;
    let task = creator.stored().get(held);
    assert!(task.status().await.unwrap().is_none());
    // What was taken is free.
    for _ in 0..2 {
        creator
            .enqueue(Export::new("ada").at(in_an_hour()))
            .await
            .unwrap();
    }
    let third = creator.enqueue(Export::new("ada")).await.unwrap_err();
    assert!(matches!(third, EnqueueError::TooMany { .. }), "{third:?}");
    let last = creator.enqueue(Note::new("last")).await.unwrap();
    within("the end", creator.stored().get(last).outcome())
        .await
        .unwrap();
    within("the shutdown", worker.shutdown()).await;
    assert!(task.status().await.unwrap().is_none());
}

/// P-DURABLE-90
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_is_worked_on_and_nobody_hangs() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    goes_on_without_it(&server.place("flushed"), "flushed", async || {
        let mut flush = redis::cmd("FLUSHALL");
        let () = redis_client::ask(&server.url(), flush.arg("SYNC"))
            .await
            .unwrap();
    })
    .await;
}

/// P-DURABLE-90
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_keeps_nothing_may_crash_and_nobody_hangs() {
    let Some(mut server) = RedisServer::start_with(&["--appendonly", "no"]) else {
        return;
    };
    goes_on_without_it(&server.place("crashed"), "crashed", async || {
        tokio::task::block_in_place(|| {
            server.stop("KILL");
            server.run();
        });
    })
    .await;
}
