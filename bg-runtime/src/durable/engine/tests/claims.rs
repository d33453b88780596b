//! What a worker gets, and what becomes of what it says.

use super::*;

on_each_store!(
    a_task_is_given_as_it_was_stored_and_ends_completed,
    a_failed_run_is_tried_again_after_its_wait,
    a_failure_without_another_run_is_dead_and_keeps_its_error,
    a_cancelled_verdict_ends_as_cancelled_with_its_reason,
    a_returned_task_uses_no_attempt_but_gets_another_number,
    a_name_that_nobody_knows_waits_for_who_does,
    each_of_many_tasks_is_claimed_once_by_two_workers,
    a_task_that_is_due_later_waits_until_then,
    a_stop_waits_for_verdicts_and_records_them,
    progress_and_ends_are_heard_by_another_process,
    what_another_client_stores_is_run_as_well,
    each_failure_is_of_a_run_of_its_own,
    numbers_of_39_digits_come_back_as_they_were,
    a_prioritized_task_that_goes_back_wakes_an_idle_worker,
    tasks_of_an_unknown_name_begin_in_their_order_where_it_is_known,
);

async fn a_task_is_given_as_it_was_stored_and_ends_completed(lab: &Lab) {
    let engine = lab.engine();
    engine.start().await.unwrap();
    let mut crew = Crew::start(&engine, &["mail"]);
    let stored = Stored {
        runs: 3,
        key: Some("ada".to_owned()),
        ..task("mail")
    };
    store_one(&engine, &stored).await;
    let taken = crew.take().await;
    let claimed = &taken.claimed;
    assert_eq!((claimed.id, &*claimed.name), (stored.id, "mail"));
    let value: serde_json::Value = serde_json::from_str(claimed.arguments.get()).unwrap();
    assert_eq!(value, serde_json::json!({"to": "ada"}));
    assert!(claimed.envelope.get().contains("timeout_ms"));
    assert_eq!(
        (claimed.attempt, claimed.failures, claimed.losses),
        (1, 0, 0)
    );
    assert_eq!((claimed.runs, &*claimed.queue), (3, "default"));
    let running = status(&engine, stored.id).await.unwrap();
    assert_eq!((running.state, running.attempt), (StoredState::Running, 1));
    assert_eq!(running.key.as_deref(), Some("ada"));
    taken.end(Verdict::Completed);
    let ended = until(&engine, stored.id, StoredState::Completed).await;
    assert!(ended.ended_at.is_some() && ended.errors.is_empty());
    crew.stop().await;
}

/// P-DURABLE-7
async fn a_failed_run_is_tried_again_after_its_wait(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let stored = Stored {
        runs: 3,
        ..task("mail")
    };
    store_one(&engine, &stored).await;
    let wait = Duration::from_millis(300);
    let begun = SystemTime::now();
    crew.take().await.end(failed("no", Some(wait)));
    let again = crew.take().await;
    assert!(begun.elapsed().unwrap() >= wait);
    assert_eq!((again.claimed.attempt, again.claimed.failures), (2, 1));
    again.end(failed("never", Some(Duration::from_secs(3600))));
    let waiting = until(&engine, stored.id, StoredState::Retrying).await;
    let errors: Vec<_> = waiting
        .errors
        .iter()
        .map(|error| (error.attempt, &*error.error))
        .collect();
    assert_eq!(errors, [(1, "no"), (2, "never")]);
    crew.stop().await;
}

/// P-DURABLE-7
async fn a_failure_without_another_run_is_dead_and_keeps_its_error(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let failure = RunFailure::new(FailureKind::Timeout, "it took too long");
    crew.take().await.end(Verdict::Failed {
        failure,
        retry_in: None,
    });
    let dead = until(&engine, id, StoredState::Dead).await;
    assert_eq!(dead.errors.len(), 1);
    let error = &dead.errors[0];
    assert_eq!(
        (error.kind, &*error.error),
        (FailureKind::Timeout, "it took too long")
    );
    crew.stop().await;
}

async fn a_cancelled_verdict_ends_as_cancelled_with_its_reason(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let failure = RunFailure::new(FailureKind::Aborted, "it has expired");
    crew.take().await.end(Verdict::Cancelled(failure));
    let ended = until(&engine, id, StoredState::Cancelled).await;
    let error = &ended.errors[0];
    assert_eq!(
        (error.kind, &*error.error),
        (FailureKind::Aborted, "it has expired")
    );
    crew.stop().await;
}

/// P-DURABLE-20
async fn a_returned_task_uses_no_attempt_but_gets_another_number(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    for attempt in 1..=8 {
        let taken = crew.take().await;
        let claimed = taken.end(Verdict::Returned {
            wait: Duration::ZERO,
        });
        assert_eq!(
            (claimed.attempt, claimed.failures, claimed.losses),
            (attempt, 0, 0)
        );
    }
    crew.take().await.end(Verdict::Completed);
    let ended = until(&engine, id, StoredState::Completed).await;
    assert_eq!((ended.attempt, ended.errors.len()), (9, 0));
    crew.stop().await;
}

/// P-DURABLE-14
async fn a_name_that_nobody_knows_waits_for_who_does(lab: &Lab) {
    let engine = lab.engine();
    let mut old = Crew::start(&engine, &["mail"]);
    let (unknown, known) = (task("new"), task("mail"));
    store(&engine, &[unknown.clone(), known]).await;
    let taken = old.take().await;
    assert_eq!(taken.claimed.name, "mail");
    taken.end(Verdict::Completed);
    let waiting = status(&engine, unknown.id).await.unwrap();
    assert_eq!((waiting.state, waiting.attempt), (StoredState::Waiting, 0));
    let other = lab.engine();
    let mut new = Crew::start(&other, &["mail", "new"]);
    assert_eq!(new.take().await.end(Verdict::Completed).id, unknown.id);
    assert!(!old.has_taken());
    old.stop().await;
    new.stop().await;
}

/// P-DURABLE-8
async fn each_of_many_tasks_is_claimed_once_by_two_workers(lab: &Lab) {
    const TASKS: usize = 200;
    let engines = [lab.engine(), lab.engine()];
    engines[0].start().await.unwrap();
    let mut crews = engines
        .each_ref()
        .map(|engine| Crew::start(engine, &["mail"]));
    let tasks: Vec<_> = (0..TASKS).map(|_| task("mail")).collect();
    for some in tasks.chunks(20) {
        store(&engines[0], some).await;
    }
    let mut ids = std::collections::HashSet::new();
    let [first, second] = &mut crews;
    while ids.len() < TASKS {
        let taken = tokio::select! {
            taken = first.take() => taken,
            taken = second.take() => taken,
        };
        let claimed = taken.end(Verdict::Completed);
        assert!(ids.insert(claimed.id), "{} twice", claimed.id);
    }
    for crew in crews {
        crew.stop().await;
    }
    let counts = engines[0].counts(Query::default()).await.unwrap();
    assert_eq!(counts, [(StoredState::Completed, TASKS as u64)]);
}

async fn a_task_that_is_due_later_waits_until_then(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let due = SystemTime::now() + Duration::from_millis(1500);
    let stored = Stored {
        due: Some(due),
        ..task("mail")
    };
    store_one(&engine, &stored).await;
    let waiting = status(&engine, stored.id).await.unwrap();
    assert_eq!(waiting.state, StoredState::Scheduled);
    crew.take().await.end(Verdict::Completed);
    assert!(SystemTime::now() >= due);
    crew.stop().await;
}

/// P-DURABLE-20
async fn a_stop_waits_for_verdicts_and_records_them(lab: &Lab) {
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let tasks = [task("mail"), task("mail"), task("mail")];
    store(&engine, &tasks).await;
    let mut taken = Vec::new();
    for _ in &tasks {
        taken.push(crew.take().await);
    }
    crew.stop.cancel();
    let late = store_one(&engine, &task("mail")).await;
    assert!(!crew.work.is_finished());
    let mut ids = Vec::new();
    for (taken, verdict) in taken.into_iter().zip([
        Verdict::Completed,
        failed("no", None),
        Verdict::Returned {
            wait: Duration::ZERO,
        },
    ]) {
        ids.push(taken.end(verdict).id);
    }
    crew.stop().await;
    let mut states = Vec::new();
    for id in ids.into_iter().chain([late]) {
        states.push(status(&engine, id).await.unwrap().state);
    }
    let expected = [
        StoredState::Completed,
        StoredState::Dead,
        StoredState::Waiting,
        StoredState::Waiting,
    ];
    assert_eq!(states, expected);
}

/// P-DURABLE-22
async fn progress_and_ends_are_heard_by_another_process(lab: &Lab) {
    let (engine, other) = (lab.engine(), lab.engine());
    let mut crew = Crew::start(&engine, &["mail"]);
    let mut events = other.events().await.unwrap();
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    let progress = Progress::new(3, 10, "resizing\n\"x\"".repeat(200));
    engine.set_progress(id, progress.clone()).await.unwrap();
    let heard = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    let StoreEvent::Progress(of, heard) = heard else {
        panic!("{heard:?}")
    };
    assert_eq!((of, heard.done(), heard.total()), (id, 3, 10));
    assert!(heard.message().len() <= 1024 && progress.message().starts_with(heard.message()));
    assert_eq!(
        status(&other, id).await.unwrap().progress,
        Some(progress.clone())
    );
    taken.end(Verdict::Completed);
    let heard = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert!(
        matches!(heard, StoreEvent::Ended(of) if of == id),
        "{heard:?}"
    );
    let ended = status(&other, id).await.unwrap();
    assert_eq!(ended.state, StoredState::Completed);
    // Nobody runs it any more.
    engine
        .set_progress(id, Progress::new(4, 10, String::new()))
        .await
        .unwrap();
    assert_eq!(status(&other, id).await.unwrap().progress, Some(progress));
    // In Redis a worker has for a moment what it does not know.
    crew.stop().await;
    let waiting = store_one(&engine, &task("other")).await;
    assert_eq!(
        engine.order(waiting, Order::Cancel).await.unwrap(),
        Obeyed::Done
    );
    let heard = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert!(
        matches!(heard, StoreEvent::Ended(of) if of == waiting),
        "{heard:?}"
    );
}

async fn what_another_client_stores_is_run_as_well(lab: &Lab) {
    let engine = lab.engine();
    engine.start().await.unwrap();
    lab.another_client_stores("mail", r#"{"a":1}"#, 4).await;
    let mut crew = Crew::start(&engine, &["mail"]);
    let claimed = crew.take().await.end(Verdict::Completed);
    assert_eq!((claimed.runs, claimed.envelope.get()), (4, "{}"));
    until(&engine, claimed.id, StoredState::Completed).await;
    crew.stop().await;
}

/// P-DURABLE-7
async fn each_failure_is_of_a_run_of_its_own(lab: &Lab) {
    const TASKS: usize = 50;
    const RUNS: u32 = 4;
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let tasks: Vec<_> = (0..TASKS)
        .map(|_| Stored {
            runs: RUNS,
            ..task("mail")
        })
        .collect();
    store(&engine, &tasks).await;
    let mut runs = std::collections::HashMap::new();
    for _ in 0..TASKS * RUNS as usize {
        let taken = crew.take().await;
        let claimed = &taken.claimed;
        let run = runs.entry(claimed.id).or_insert(0);
        assert_eq!((claimed.attempt, claimed.failures), (*run + 1, *run));
        *run += 1;
        let is_last = *run == RUNS;
        taken.end(failed("no", (!is_last).then_some(Duration::ZERO)));
    }
    for task in &tasks {
        let dead = until(&engine, task.id, StoredState::Dead).await;
        assert_eq!((dead.attempt, dead.errors.len()), (RUNS, RUNS as usize));
    }
    crew.stop().await;
}

async fn numbers_of_39_digits_come_back_as_they_were(lab: &Lab) {
    const ARGUMENTS: &str = r#"{"big":340282366920938463463374607431768211455,"small":-170141183460469231731687303715884105728}"#;
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let stored = Stored {
        arguments: json(ARGUMENTS),
        runs: 2,
        ..task("mail")
    };
    store_one(&engine, &stored).await;
    for verdict in [failed("no", Some(Duration::ZERO)), Verdict::Completed] {
        let claimed = crew.take().await.end(verdict);
        let arguments = claimed.arguments.get().replace(' ', "");
        let (big, small) = (u128::MAX.to_string(), i128::MIN.to_string());
        assert!(
            arguments.contains(&big) && arguments.contains(&small),
            "{arguments}"
        );
    }
    until(&engine, stored.id, StoredState::Completed).await;
    crew.stop().await;
}

async fn a_prioritized_task_that_goes_back_wakes_an_idle_worker(lab: &Lab) {
    let engines = [lab.engine(), lab.engine()];
    engines[0].start().await.unwrap();
    let stored = Stored {
        priority: 3,
        ..task("mail")
    };
    let mut first = Crew::start(&engines[0], &["mail"]);
    store_one(&engines[0], &stored).await;
    let taken = first.take().await;
    let mut other = Crew::start(&engines[1], &["mail"]);
    first.stop.cancel();
    taken.end(Verdict::Returned {
        wait: Duration::ZERO,
    });
    first.stop().await;
    assert_eq!(other.take().await.end(Verdict::Completed).id, stored.id);
    until(&engines[1], stored.id, StoredState::Completed).await;
    other.stop().await;
}

/// P-DURABLE-14
async fn tasks_of_an_unknown_name_begin_in_their_order_where_it_is_known(lab: &Lab) {
    const TASKS: usize = 30;
    let engines = [lab.engine(), lab.engine()];
    engines[0].start().await.unwrap();
    let mut old = Crew::start(&engines[0], &["mail"]);
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let unknown = task("new");
        store_one(&engines[0], &unknown).await;
        tasks.push(unknown.id);
    }
    // The old worker has met all of them when it has this one.
    let known = store_one(&engines[0], &task("mail")).await;
    old.take().await.end(Verdict::Completed);
    until(&engines[0], known, StoredState::Completed).await;
    let unknown = engines[0].unknown_names(&["mail"]).await.unwrap();
    assert_eq!(unknown, [("new".to_owned(), TASKS as u64)]);
    let mut new = Crew::of(&engines[1], &["mail", "new"], &[("default", 1)]);
    for id in tasks {
        let claimed = new.take().await.end(Verdict::Completed);
        assert_eq!((claimed.id, claimed.attempt), (id, 1));
    }
    assert!(!old.has_taken());
    old.stop().await;
    new.stop().await;
}
