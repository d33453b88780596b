//! The settings that only stored tasks have, on one that is not.

use std::time::{Duration, SystemTime};

use bg_runtime::{Background, TaskExt, named};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_task_in_this_process_begins_at_the_time_that_was_set() {
    let background = Background::builder().build().unwrap();
    let begun = Instant::now();
    let due = SystemTime::now() + MINUTE;
    background
        .spawn(named("due.later", async {}).at(due))
        .await
        .unwrap();
    let waited = begun.elapsed();
    assert!(
        waited > MINUTE / 2 && waited <= MINUTE + MINUTE / 60,
        "{waited:?}"
    );

    // The time is what counts, not the delay, and one that has passed is now.
    let past = SystemTime::now() - MINUTE;
    let begun = Instant::now();
    let task = named("due.before", async {}).delay(MINUTE).at(past);
    background.spawn(task).await.unwrap();
    assert!(begun.elapsed() < MINUTE / 2);
}

#[tokio::test]
async fn what_is_for_stored_tasks_leaves_others_as_they_are() {
    let background = Background::builder().build().unwrap();
    let task = named("due.never_stored", async {});
    let task = task
        .unique()
        .unique_for(MINUTE)
        .queue_priority(9)
        .queue("slow")
        .in_process();
    background.spawn(task).await.unwrap();
}
