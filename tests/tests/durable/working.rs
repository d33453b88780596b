//! A stored task, from the store to its end.

use std::sync::Arc;
use std::time::Duration;

use bg_runtime::durable::{Cancelled, EnqueueError, Store, StoredState};
use bg_runtime::testing::Memory;
use bg_runtime::{Background, FailureKind, TaskExt};
use tests::{Timeline, within};

use crate::tasks::Note;

fn background(store: impl Into<Store>, timeline: &Timeline) -> Background {
    let state = Arc::new(timeline.clone());
    let builder = Background::builder().state(state).durable(store);
    builder.build().expect("nothing to refuse")
}

#[tokio::test]
async fn a_task_that_was_enqueued_runs_and_completes() {
    let timeline = Timeline::new();
    let background = background(Memory::new(), &timeline);
    let id = background.enqueue(Note::new("hello")).await.unwrap();
    assert!(timeline.names().is_empty(), "nothing works yet");
    background.start().await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    assert_eq!(timeline.names(), ["hello"]);
    let status = background.stored().get(id).status().await.unwrap().unwrap();
    assert_eq!((status.state, status.attempt), (StoredState::Completed, 1));
    assert_eq!(status.arguments, r#"{"text":"hello"}"#);
    let stats = background.shutdown().await.stats();
    assert_eq!((stats.stored, stats.accepted, stats.completed), (1, 1, 1));
}

#[tokio::test]
async fn a_task_that_fails_runs_again_and_is_dead_in_the_end() {
    let timeline = Timeline::new();
    let background = background(Memory::new(), &timeline);
    background.start().await.unwrap();
    let id = background.enqueue(Note::new("fail")).await.unwrap();
    let task = background.stored().get(id);
    let failure = within("the end", task.outcome()).await.unwrap_err();
    assert_eq!(
        (failure.kind, failure.error.as_str()),
        (FailureKind::Error, "fail")
    );
    assert_eq!(failure.attempts, 2);
    let status = task.status().await.unwrap().unwrap();
    assert_eq!((status.state, status.errors.len()), (StoredState::Dead, 2));
    let stats = background.stats();
    assert_eq!((stats.accepted, stats.returned, stats.failed), (2, 1, 1));
    assert!(task.retry().await.unwrap());
    timeline.reached_times("fail", 3).await;
}

#[tokio::test]
async fn a_task_that_waits_can_be_cancelled() {
    let timeline = Timeline::new();
    let background = background(Memory::new(), &timeline);
    background.start().await.unwrap();
    let later = Note::new("never").delay(Duration::from_secs(3600));
    let id = background.enqueue(later).await.unwrap();
    let task = background.stored().get(id);
    assert_eq!(
        task.status().await.unwrap().unwrap().state,
        StoredState::Scheduled
    );
    assert_eq!(task.cancel().await.unwrap(), Cancelled::Waiting);
    assert_eq!(task.cancel().await.unwrap(), Cancelled::TooLate);
    let failure = within("the end", task.outcome()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Aborted);
    assert!(timeline.names().is_empty());
}

#[tokio::test]
async fn a_second_task_like_a_unique_one_is_refused_while_it_is_unfinished() {
    let timeline = Timeline::new();
    let background = background(Memory::new(), &timeline);
    let first = background.enqueue(Note::new("one").unique()).await.unwrap();
    let second = background.enqueue(Note::new("one").unique()).await;
    let Err(EnqueueError::Duplicate { existing, .. }) = second else {
        panic!("{second:?}");
    };
    assert_eq!(existing, Some(first));
    background.enqueue(Note::new("two").unique()).await.unwrap();
    background.start().await.unwrap();
    within("the end", background.stored().get(first).outcome())
        .await
        .unwrap();
    background.enqueue(Note::new("one").unique()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_worker_that_dies_run_elsewhere_after_its_lease() {
    let timeline = Timeline::new();
    let memory = Memory::new();
    let first = background(memory.clone(), &timeline);
    first.start().await.unwrap();
    let id = first.enqueue(Note::new("hello")).await.unwrap();
    within("the end", first.stored().get(id).outcome())
        .await
        .unwrap();
    memory.crash();
    let id = first.enqueue(Note::new("again")).await.unwrap();
    let second = background(memory, &timeline);
    second.start().await.unwrap();
    within("the end", second.stored().get(id).outcome())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_that_is_down_refuses_at_once_and_works_again_later() {
    let timeline = Timeline::new();
    let memory = Memory::new();
    let background = background(memory.clone(), &timeline);
    background.start().await.unwrap();
    memory.set_down(true);
    let refused = background.enqueue(Note::new("lost")).await;
    assert!(
        matches!(refused, Err(EnqueueError::NotStored { .. })),
        "{refused:?}"
    );
    memory.set_down(false);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    let id = background.enqueue(Note::new("kept")).await.unwrap();
    within("the end", background.stored().get(id).outcome())
        .await
        .unwrap();
    assert_eq!(timeline.names(), ["kept"]);
}
