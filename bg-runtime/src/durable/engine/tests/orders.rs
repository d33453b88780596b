//! Cancelling, retrying, forgetting.

use super::*;

on_each_store!(
    a_waiting_task_is_cancelled_at_once,
    a_running_task_is_told_and_ends_as_cancelled,
    a_cancel_that_its_worker_did_not_hear_of_is_found_by_its_beat,
    a_running_task_that_completes_all_the_same_has_completed,
    a_dead_task_that_is_retried_begins_anew,
    a_retry_does_not_take_a_unique_value_from_another,
    a_deleted_task_is_gone_unless_it_runs,
    an_order_to_many_counts_those_that_obey,
);

/// P-DURABLE-21
async fn a_waiting_task_is_cancelled_at_once(lab: &Lab) {
    let engine = lab.engine();
    let id = store_one(&engine, &task("mail")).await;
    assert_eq!(engine.order(id, Order::Cancel).await.unwrap(), Obeyed::Done);
    let ended = status(&engine, id).await.unwrap();
    assert_eq!(ended.state, StoredState::Cancelled);
    assert_eq!(
        engine.order(id, Order::Cancel).await.unwrap(),
        Obeyed::TooLate
    );
    let unknown = TaskId::next_stored();
    for order in [Order::Cancel, Order::Retry, Order::Delete] {
        let obeyed = engine.order(unknown, order).await.unwrap();
        assert_eq!(obeyed, Obeyed::Unknown);
    }
}

/// P-DURABLE-21
async fn a_running_task_is_told_and_ends_as_cancelled(lab: &Lab) {
    let (engine, other) = (lab.engine(), lab.engine());
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    assert_eq!(other.order(id, Order::Cancel).await.unwrap(), Obeyed::Told);
    let told = taken.claimed.stop.cancelled.clone();
    timeout(PATIENCE, told.cancelled())
        .await
        .expect("it is told");
    assert!(!taken.claimed.stop.lost.is_cancelled());
    taken.end(Verdict::Returned {
        wait: Duration::ZERO,
    });
    let ended = until(&engine, id, StoredState::Cancelled).await;
    assert_eq!(ended.errors[0].kind, FailureKind::Aborted);
    crew.stop().await;
}

/// As of a worker that did not listen yet, or that had lost its connection.
///
/// P-DURABLE-21
async fn a_cancel_that_its_worker_did_not_hear_of_is_found_by_its_beat(lab: &Lab) {
    let engine = lab.engine_with(|store| store.lease(Duration::from_secs(3)));
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    lab.cancel_unheard(id).await;
    let told = taken.claimed.stop.cancelled.clone();
    timeout(PATIENCE, told.cancelled())
        .await
        .expect("it is told");
    taken.end(Verdict::Returned {
        wait: Duration::ZERO,
    });
    let ended = until(&engine, id, StoredState::Cancelled).await;
    assert_eq!(ended.errors[0].kind, FailureKind::Aborted);
    crew.stop().await;
}

/// P-DURABLE-21
async fn a_running_task_that_completes_all_the_same_has_completed(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    assert_eq!(engine.order(id, Order::Cancel).await.unwrap(), Obeyed::Told);
    taken.end(Verdict::Completed);
    until(&engine, id, StoredState::Completed).await;
    crew.stop().await;
}

/// P-DURABLE-7
async fn a_dead_task_that_is_retried_begins_anew(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    assert_eq!(crew.take().await.end(failed("no", None)).failures, 0);
    until(&engine, id, StoredState::Dead).await;
    assert_eq!(engine.order(id, Order::Retry).await.unwrap(), Obeyed::Done);
    let claimed = crew.take().await.end(failed("again", None));
    assert_eq!((claimed.attempt, claimed.failures), (2, 0));
    let dead = until(&engine, id, StoredState::Dead).await;
    let errors: Vec<_> = dead.errors.iter().map(|error| &*error.error).collect();
    assert_eq!(errors, ["no", "again"]);
    // One that was cancelled is not cancelled again as soon as it fails.
    engine.order(id, Order::Retry).await.unwrap();
    let taken = crew.take().await;
    assert_eq!(
        engine.order(id, Order::Retry).await.unwrap(),
        Obeyed::TooLate
    );
    let hour = Duration::from_secs(3600);
    taken.end(failed("waits", Some(hour)));
    until(&engine, id, StoredState::Retrying).await;
    engine.order(id, Order::Cancel).await.unwrap();
    engine.order(id, Order::Retry).await.unwrap();
    let taken = crew.take().await;
    assert!(!taken.claimed.stop.cancelled.is_cancelled());
    taken.end(failed("waits", Some(hour)));
    until(&engine, id, StoredState::Retrying).await;
    // Neither is one that waits made to wait.
    engine.order(id, Order::Retry).await.unwrap();
    assert_eq!(crew.take().await.end(Verdict::Completed).failures, 1);
    until(&engine, id, StoredState::Completed).await;
    crew.stop().await;
}

/// P-DURABLE-17
async fn a_retry_does_not_take_a_unique_value_from_another(lab: &Lab) {
    let engine = lab.engine();
    let only = || Stored {
        unique: unique("a", 1),
        ..task("mail")
    };
    let tasks = [only(), only(), only()];
    for task in &tasks {
        store_one(&engine, task).await;
        engine.order(task.id, Order::Cancel).await.unwrap();
    }
    let query = Query::default;
    assert_eq!(engine.order_all(query(), Order::Retry).await.unwrap(), 1);
    let newest = status(&engine, tasks[2].id).await.unwrap();
    assert_eq!(newest.state, StoredState::Waiting);
    let obeyed = engine.order(tasks[0].id, Order::Retry).await.unwrap();
    assert_eq!(obeyed, Obeyed::TooLate);
    assert_eq!(engine.order_all(query(), Order::Retry).await.unwrap(), 0);
}

/// P-DURABLE-23
async fn a_deleted_task_is_gone_unless_it_runs(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    assert_eq!(
        engine.order(id, Order::Delete).await.unwrap(),
        Obeyed::TooLate
    );
    taken.end(Verdict::Completed);
    until(&engine, id, StoredState::Completed).await;
    assert_eq!(engine.order(id, Order::Delete).await.unwrap(), Obeyed::Done);
    assert!(status(&engine, id).await.is_none());
    crew.stop().await;
}

/// P-DURABLE-23
async fn an_order_to_many_counts_those_that_obey(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::of(&engine, &["mail"], &[("default", 2)]);
    let tasks: Vec<_> = (0..5).map(|_| task("mail")).collect();
    store(&engine, &tasks).await;
    let (first, second) = (crew.take().await, crew.take().await);
    let first = first.end(Verdict::Completed).id;
    until(&engine, first, StoredState::Completed).await;
    let third = crew.take().await;
    // Two run, two wait, one has completed.
    let mail = || Query {
        name: Some("mail".to_owned()),
        ..Query::default()
    };
    assert_eq!(engine.order_all(mail(), Order::Cancel).await.unwrap(), 4);
    for taken in [second, third] {
        let told = taken.claimed.stop.cancelled.clone();
        timeout(PATIENCE, told.cancelled())
            .await
            .expect("it is told");
        let failure = RunFailure::new(FailureKind::Aborted, "as it was told");
        let id = taken.end(Verdict::Cancelled(failure)).id;
        until(&engine, id, StoredState::Cancelled).await;
    }
    crew.stop().await;
    // What has completed runs again only if it is meant.
    assert_eq!(engine.order_all(mail(), Order::Retry).await.unwrap(), 4);
    let completed = Query {
        state: Some(StoredState::Completed),
        ..mail()
    };
    assert_eq!(engine.order_all(completed, Order::Retry).await.unwrap(), 1);
    assert_eq!(engine.order_all(mail(), Order::Delete).await.unwrap(), 5);
    assert_eq!(engine.counts(Query::default()).await.unwrap(), []);
}
