//! Storing: all or none, and unique values.

use super::*;

on_each_store!(
    a_batch_with_a_task_that_is_refused_leaves_nothing,
    a_unique_value_is_taken_until_its_task_has_ended,
    n_slots_hold_n_tasks_whoever_stores_them,
    a_unique_value_stays_taken_for_its_period,
    two_alike_in_one_batch_are_one,
    a_unique_value_is_one_over_all_queues,
);

/// P-DURABLE-16
async fn a_batch_with_a_task_that_is_refused_leaves_nothing(lab: &Lab) {
    let engine = lab.engine();
    let bad = Stored {
        queue: "no such\0queue".into(),
        ..task("mail")
    };
    let error = engine.store([task("mail"), bad, task("mail")].into()).await;
    assert!(matches!(error, Err(StoreError::Refused(_))), "{error:?}");
    assert_eq!(engine.counts(Query::default()).await.unwrap(), []);
    assert_eq!(store(&engine, &[]).await, []);
}

/// P-DURABLE-17
async fn a_unique_value_is_taken_until_its_task_has_ended(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let only = |value| Stored {
        unique: unique(value, 1),
        ..task("mail")
    };
    let first = only("a");
    store_one(&engine, &first).await;
    let taken = crew.take().await;
    let kept = store(&engine, &[only("a"), only("b")]).await;
    assert_eq!(kept, [Kept::Taken(Some(first.id)), Kept::Stored]);
    taken.end(failed("no", Some(Duration::from_secs(3600))));
    until(&engine, first.id, StoredState::Retrying).await;
    assert_eq!(
        store(&engine, &[only("a")]).await,
        [Kept::Taken(Some(first.id))]
    );
    assert_eq!(
        engine.order(first.id, Order::Cancel).await.unwrap(),
        Obeyed::Done
    );
    assert_eq!(store(&engine, &[only("a")]).await, [Kept::Stored]);
    crew.stop().await;
}

/// P-DURABLE-18
async fn n_slots_hold_n_tasks_whoever_stores_them(lab: &Lab) {
    const SLOTS: u32 = 5;
    let engines = [lab.engine(), lab.engine()];
    engines[0].start().await.unwrap();
    let stores = (0..12).map(|at| {
        let engine = engines[at % 2].clone();
        tokio::spawn(async move {
            let of_key = Stored {
                unique: unique("ada", SLOTS),
                ..task("mail")
            };
            engine.store([of_key].into()).await.unwrap()[0]
        })
    });
    let mut stored = 0;
    for kept in futures_util::future::join_all(stores).await {
        match kept.unwrap() {
            Kept::Stored => stored += 1,
            Kept::Taken(holder) => assert!(holder.is_some()),
        }
    }
    assert_eq!(stored, SLOTS);
}

/// P-DURABLE-17
async fn a_unique_value_stays_taken_for_its_period(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let period = Duration::from_secs(2);
    let only = || {
        let mut only = Stored {
            unique: unique("a", 1),
            ..task("mail")
        };
        only.unique.as_mut().unwrap().period = Some(period);
        only
    };
    let begun = SystemTime::now();
    let first = only();
    store_one(&engine, &first).await;
    crew.take().await.end(Verdict::Completed);
    until(&engine, first.id, StoredState::Completed).await;
    let kept = store(&engine, &[only()]).await;
    if begun.elapsed().unwrap() < period {
        assert_eq!(kept, [Kept::Taken(Some(first.id))]);
    }
    let freed = timeout(PATIENCE, async {
        while store(&engine, &[only()]).await != [Kept::Stored] {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    freed.await.expect("it is freed");
    assert!(begun.elapsed().unwrap() >= period);
    crew.stop().await;
}

/// P-DURABLE-17
async fn two_alike_in_one_batch_are_one(lab: &Lab) {
    let engine = lab.engine();
    let only = || Stored {
        unique: unique("a", 1),
        ..task("mail")
    };
    let batch = [only(), task("mail"), only()];
    let kept = store(&engine, &batch).await;
    assert_eq!(
        kept,
        [Kept::Stored, Kept::Stored, Kept::Taken(Some(batch[0].id))]
    );
}

/// P-DURABLE-17
async fn a_unique_value_is_one_over_all_queues(lab: &Lab) {
    let engine = lab.engine();
    let only = |queue: &'static str| Stored {
        queue: queue.into(),
        unique: unique("a", 1),
        ..task("mail")
    };
    let first = only("slow");
    store_one(&engine, &first).await;
    let kept = store(&engine, &[only("default"), only("slow")]).await;
    assert_eq!(kept, [Kept::Taken(Some(first.id)); 2]);
    engine.order(first.id, Order::Cancel).await.unwrap();
    let second = only("default");
    store_one(&engine, &second).await;
    // It is another's now.
    let obeyed = engine.order(first.id, Order::Retry).await.unwrap();
    assert_eq!(obeyed, Obeyed::TooLate);
    engine.order(second.id, Order::Delete).await.unwrap();
    let obeyed = engine.order(first.id, Order::Retry).await.unwrap();
    assert_eq!(obeyed, Obeyed::Done);
    let kept = store(&engine, &[only("default")]).await;
    assert_eq!(kept, [Kept::Taken(Some(first.id))]);
}
