//! Looking at tasks, pages, counts, queues.

use super::*;

on_each_store!(
    a_list_is_newest_first_and_its_pages_follow_each_other,
    every_filter_of_a_query_has_to_hold,
    counts_name_each_state_that_tasks_are_in,
    a_paused_queue_is_left_alone_until_it_is_resumed,
    the_oldest_of_each_queue_says_how_long_it_waits,
);

/// P-DURABLE-23
async fn a_list_is_newest_first_and_its_pages_follow_each_other(lab: &Lab) {
    let engine = lab.engine();
    let tasks: Vec<_> = (0..7).map(|_| task("mail")).collect();
    store(&engine, &tasks).await;
    let mut seen = Vec::new();
    let (mut after, mut pages) = (None, 0);
    loop {
        let page = engine.list(Query::default(), after, 3).await.unwrap();
        seen.extend(page.tasks.iter().map(|task| task.id));
        pages += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let newest: Vec<_> = tasks.iter().rev().map(|task| task.id).collect();
    assert_eq!((seen, pages), (newest, 3));
    let whole = engine.list(Query::default(), None, 7).await.unwrap();
    assert_eq!((whole.tasks.len(), whole.next), (7, None));
}

/// P-DURABLE-23
async fn every_filter_of_a_query_has_to_hold(lab: &Lab) {
    let engine = lab.engine();
    let with = |name, queue: &'static str, key: Option<&str>| Stored {
        queue: queue.into(),
        key: key.map(str::to_owned),
        ..task(name)
    };
    let tasks = [
        with("mail.hello", "default", Some("ada")),
        with("mail.bye", "slow", Some("ada")),
        with("mail_hello", "slow", None),
        with("report", "default", Some("bob")),
    ];
    store(&engine, &tasks).await;
    engine.order(tasks[3].id, Order::Cancel).await.unwrap();
    let ids = async |query: Query| {
        let page = engine.list(query, None, 10).await.unwrap();
        let at = |id| tasks.iter().position(|task| task.id == id).unwrap();
        let mut ids: Vec<_> = page.tasks.iter().map(|task| at(task.id)).collect();
        ids.sort_unstable();
        ids
    };
    let query = Query::default;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        ids(Query {
            name: name("mail.*"),
            ..query()
        })
        .await,
        [0, 1]
    );
    assert_eq!(
        ids(Query {
            name: name("mail_*"),
            ..query()
        })
        .await,
        [2]
    );
    assert_eq!(
        ids(Query {
            name: name("report"),
            ..query()
        })
        .await,
        [3]
    );
    assert_eq!(
        ids(Query {
            queue: name("slow"),
            ..query()
        })
        .await,
        [1, 2]
    );
    assert_eq!(
        ids(Query {
            key: name("ada"),
            ..query()
        })
        .await,
        [0, 1]
    );
    let slow = Query {
        key: name("ada"),
        queue: name("slow"),
        name: name("*"),
        ..query()
    };
    assert_eq!(ids(slow).await, [1]);
    let state = |state| Query {
        state: Some(state),
        ..query()
    };
    assert_eq!(ids(state(StoredState::Cancelled)).await, [3]);
    assert_eq!(ids(state(StoredState::Waiting)).await, [0, 1, 2]);
    assert_eq!(ids(state(StoredState::Running)).await, [0; 0]);
}

/// P-DURABLE-23
async fn counts_name_each_state_that_tasks_are_in(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::of(&engine, &["mail"], &[("default", 3)]);
    let later = Stored {
        due: Some(SystemTime::now() + Duration::from_secs(3600)),
        ..task("mail")
    };
    let others = [later, task("unknown"), task("unknown")];
    store(&engine, &others).await;
    engine.order(others[1].id, Order::Cancel).await.unwrap();
    let tasks = [task("mail"), task("mail"), task("mail"), task("mail")];
    store(&engine, &tasks).await;
    crew.take().await.end(failed("no", None));
    crew.take().await.end(Verdict::Completed);
    crew.take()
        .await
        .end(failed("no", Some(Duration::from_secs(60))));
    let running = crew.take().await;
    let expected = StoredState::ALL.map(|state| (state, 1));
    let counted = timeout(PATIENCE, async {
        while engine.counts(Query::default()).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if counted.await.is_err() {
        panic!("{:?}", engine.counts(Query::default()).await);
    }
    // And each is found by the filter of its state.
    for state in StoredState::ALL {
        let query = Query {
            state: Some(state),
            ..Query::default()
        };
        let found = engine.list(query, None, 10).await.unwrap().tasks;
        assert_eq!(found.len(), 1, "{state}");
        assert_eq!(found[0].state, state);
    }
    running.end(Verdict::Completed);
    crew.stop().await;
}

/// P-DURABLE-24
async fn a_paused_queue_is_left_alone_until_it_is_resumed(lab: &Lab) {
    let engine = lab.engine();
    // Before anybody has looked at it.
    engine.set_paused("slow".to_owned(), true).await.unwrap();
    let mut crew = Crew::of(&engine, &["mail"], &[("slow", 1), ("default", 1)]);
    let slow = Stored {
        queue: "slow".into(),
        ..task("mail")
    };
    let quick = task("mail");
    store(&engine, &[slow.clone(), quick.clone()]).await;
    assert_eq!(crew.take().await.end(Verdict::Completed).id, quick.id);
    until(&engine, quick.id, StoredState::Completed).await;
    let waiting = status(&engine, slow.id).await.unwrap();
    assert_eq!(waiting.state, StoredState::Waiting);
    engine.set_paused("slow".to_owned(), false).await.unwrap();
    assert_eq!(crew.take().await.end(Verdict::Completed).id, slow.id);
    crew.stop().await;
}

async fn the_oldest_of_each_queue_says_how_long_it_waits(lab: &Lab) {
    let engine = lab.engine();
    assert_eq!(engine.oldest().await.unwrap(), []);
    let slow = Stored {
        queue: "slow".into(),
        ..task("mail")
    };
    let begun = std::time::Instant::now();
    store(&engine, &[slow, task("mail"), task("mail")]).await;
    let oldest = engine.oldest().await.unwrap();
    let queues: Vec<_> = oldest.iter().map(|(queue, _)| &**queue).collect();
    assert_eq!(queues, ["default", "slow"]);
    let most = begun.elapsed() + Duration::from_millis(50);
    assert!(
        oldest.iter().all(|(_, waited)| *waited <= most),
        "{oldest:?}"
    );
}
