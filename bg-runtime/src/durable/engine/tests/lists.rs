//! Looking at tasks, pages, counts, queues.

use super::*;

on_each_store!(
    a_list_is_newest_first_and_its_pages_follow_each_other,
    every_filter_of_a_query_has_to_hold,
    counts_name_each_state_that_tasks_are_in,
    a_paused_queue_is_left_alone_until_it_is_resumed,
    the_oldest_of_each_queue_says_how_long_it_waits,
    lists_of_many_tasks_are_those_of_a_model,
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

/// P-DURABLE-23
async fn lists_of_many_tasks_are_those_of_a_model(lab: &Lab) {
    const TASKS: usize = 2_000;
    let engine = lab.engine();
    let hour = SystemTime::now() + Duration::from_secs(3600);
    let names = ["mail.hello", "mail.bye", "report"];
    let mut tasks: Vec<_> = (0..TASKS)
        .map(|at| Stored {
            queue: ["default", "slow"][at % 2].into(),
            key: (at % 5 == 0).then(|| format!("key {}", at % 3)),
            due: (at % 11 == 0).then_some(hour),
            ..task(names[at % 3])
        })
        .collect();
    for some in tasks.chunks(200) {
        store(&engine, some).await;
    }
    let mut states: Vec<_> = tasks
        .iter()
        .map(|task| match task.due {
            Some(_) => StoredState::Scheduled,
            None => StoredState::Waiting,
        })
        .collect();
    let cancelled = (0..TASKS).step_by(37);
    for at in cancelled {
        engine.order(tasks[at].id, Order::Cancel).await.unwrap();
        states[at] = StoredState::Cancelled;
    }
    for at in (5..TASKS).step_by(97).collect::<Vec<_>>().into_iter().rev() {
        engine.order(tasks[at].id, Order::Delete).await.unwrap();
        tasks.remove(at);
        states.remove(at);
    }
    let text = |text: &str| Some(text.to_owned());
    let states_asked = [
        None,
        Some(StoredState::Scheduled),
        Some(StoredState::Waiting),
        Some(StoredState::Cancelled),
        Some(StoredState::Running),
    ];
    for (at, state) in states_asked.into_iter().enumerate() {
        for name in [None, text("mail.*"), text("report")] {
            let query = Query {
                state,
                name: name.clone(),
                queue: [None, text("slow")][at % 2].clone(),
                key: [None, text("key 1")][at / 2 % 2].clone(),
                ..Query::default()
            };
            let is_meant = |(at, task): &(usize, &Stored)| {
                let is_named = match query.name.as_deref() {
                    None => true,
                    Some("mail.*") => task.name.starts_with("mail."),
                    Some(name) => task.name == name,
                };
                is_named
                    && state.is_none_or(|state| states[*at] == state)
                    && (query.queue.as_ref()).is_none_or(|queue| task.queue == *queue)
                    && (query.key.as_ref()).is_none_or(|key| task.key.as_ref() == Some(key))
            };
            let expected = tasks.iter().enumerate().filter(is_meant);
            let mut expected: Vec<_> = expected.map(|(at, task)| (task.id, states[at])).collect();
            let mut counts = std::collections::BTreeMap::new();
            for (_, state) in &expected {
                *counts.entry(*state).or_insert(0) += 1;
            }
            let counts: Vec<_> = counts.into_iter().collect();
            assert_eq!(
                engine.counts(query.clone()).await.unwrap(),
                counts,
                "{query:?}"
            );
            expected.reverse();
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = engine.list(query.clone(), after, 150).await.unwrap();
                assert!(page.next.is_none() || page.tasks.len() == 150);
                seen.extend(page.tasks.iter().map(|task| (task.id, task.state)));
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
            assert!(
                seen == expected,
                "{query:?}: {} {}",
                seen.len(),
                expected.len()
            );
        }
    }
}
