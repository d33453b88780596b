//! What the log is told of tasks that a worker has left.

use std::time::Duration;

use bg_runtime::durable::SecretKey;
use bg_runtime::{Background, TaskExt, TaskId};
use tests::durable::Place;
use tests::{logs, on_each_store, within};

use crate::tasks::{Count, KEY, Lab, Note};

/// A worker that is heard of each second, from a thread of its own.
fn worker(lab: &Lab, place: &Place) -> Background {
    let store = place
        .store()
        .lease(LEASE)
        .secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(lab.clone()).durable(store);
    builder.build().expect("nothing to refuse")
}

const LEASE: Duration = Duration::from_secs(3);

async fn ends(background: &Background, id: TaskId) {
    let task = background.stored().get(id);
    let ended = within("the end of a stored task", task.outcome()).await;
    ended.expect("it succeeds");
}

on_each_store! {
    /// P-DURABLE-76
    #[test]
    async fn what_a_worker_has_that_lives_is_not_said_to_be_left(place: &Place) {
        logs::keep();
        let lab = Lab::new();
        let first = worker(&lab, place);
        first.start().await.unwrap();
        let id = first.enqueue(Count::new(1)).await.unwrap();
        let mut progress = first.stored().get(id).progress();
        within("progress", progress.next()).await.unwrap();
        let status = first.stored().get(id).status().await.unwrap();
        let name = status.and_then(|status| status.worker).expect("it runs");
        let second = worker(&lab, place);
        second.start().await.unwrap();
        // When this has run, the second has looked twice.
        let later = Note::new("later").delay(LEASE * 2 / 3);
        let later = second.enqueue(later).await.unwrap();
        ends(&second, later).await;
        let named = logs::lines_with(&name);
        assert!(named.is_empty(), "{named:?}");
        lab.gate.add_permits(1);
        ends(&second, id).await;
        first.shutdown().await;
        second.shutdown().await;
    }
}

/// P-DURABLE-76
#[tokio::test]
async fn what_a_crashed_worker_left_in_memory_is_named() {
    logs::keep();
    let lab = Lab::new();
    let place = Place::memory();
    let first = lab.background(&place);
    first.start().await.unwrap();
    let id = first.enqueue(Count::new(1)).await.unwrap();
    let mut progress = first.stored().get(id).progress();
    within("progress", progress.next()).await.unwrap();
    let Place::Memory(memory) = &place else {
        unreachable!("it was made so")
    };
    memory.crash();
    let second = lab.background(&place);
    second.start().await.unwrap();
    let silent = || logs::lines_with("a worker that is silent has left tasks");
    let named = |line: &String| line.contains("memory:") && line.contains("tests.count (1)");
    tests::eventually("a warning", || silent().iter().any(named)).await;
    lab.gate.add_permits(2);
    ends(&second, id).await;
    second.shutdown().await;
}
