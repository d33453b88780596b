//! A stored task, from the store to its end, on every store.

use std::time::{Duration, SystemTime};

use bg_runtime::durable::{Cancelled, EnqueueError, StoredState, TaskStatus};
use bg_runtime::{Background, FailureKind, TaskExt, TaskId};
use tests::durable::Place;
use tests::{on_each_store, within};

use crate::tasks::{
    Block, Count, Export, Hold, Lab, Note, Precede, PrecedeNothing, Secret, Unpack,
};

async fn status(background: &Background, id: TaskId) -> TaskStatus {
    let status = background.stored().get(id).status().await.unwrap();
    status.expect("it is stored")
}

async fn ends(
    background: &Background,
    id: TaskId,
) -> Result<(), bg_runtime::durable::StoredFailure> {
    within(
        "the end of a stored task",
        background.stored().get(id).outcome(),
    )
    .await
}

on_each_store! {
    /// P-DURABLE-7
    #[test]
    async fn a_task_that_was_enqueued_runs_and_completes(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let before = SystemTime::now();
        let id = background.enqueue(Note::new("hello")).await.unwrap();
        assert_eq!(status(&background, id).await.state, StoredState::Waiting);
        background.start().await.unwrap();
        ends(&background, id).await.unwrap();
        assert_eq!(lab.timeline.names(), ["hello"]);
        let status = status(&background, id).await;
        assert_eq!((status.state, status.attempt), (StoredState::Completed, 1));
        assert_eq!(status.name, "tests.note");
        assert_eq!(status.arguments, r#"{"text":"hello"}"#);
        assert!(status.errors.is_empty() && status.worker.is_some());
        let ended = status.ended_at.unwrap();
        let second = Duration::from_secs(1);
        assert!(before <= status.stored_at + second && status.stored_at <= ended + second);
        let stats = background.shutdown().await.stats();
        assert_eq!((stats.stored, stats.accepted, stats.completed), (1, 1, 1));
    }

    /// P-DURABLE-7
    #[test]
    async fn a_task_stores_the_one_that_follows_it(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let first = background.enqueue(Precede::new("second")).await.unwrap();
        ends(&background, first).await.unwrap();
        lab.timeline.reached("second").await;
        let page = background.stored().name("tests.note").list().await.unwrap();
        ends(&background, page.tasks[0].id).await.unwrap();
        let wrong = background.enqueue(PrecedeNothing::new()).await.unwrap();
        let failure = ends(&background, wrong).await.unwrap_err();
        assert!(failure.error.contains("is not durable"), "{failure}");
        assert_eq!(background.shutdown().await.stats().stored, 3);
    }

    /// P-DURABLE-7
    #[test]
    async fn a_task_that_fails_runs_again_and_is_dead_in_the_end(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let id = background.enqueue(Note::new("fail")).await.unwrap();
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!((failure.kind, failure.error.as_str()), (FailureKind::Error, "fail"));
        assert_eq!(failure.attempts, 2);
        let dead = status(&background, id).await;
        assert_eq!((dead.state, dead.runs), (StoredState::Dead, 2));
        let errors = dead.errors.iter().map(|error| (error.attempt, error.error.as_str()));
        assert_eq!(errors.collect::<Vec<_>>(), [(1, "fail"), (2, "fail")]);
        let stats = background.stats();
        assert_eq!((stats.accepted, stats.returned, stats.failed), (2, 1, 1), "{stats}");
        let ended = stats.completed + stats.failed + stats.skipped + stats.aborted + stats.returned;
        assert_eq!(stats.accepted, stats.pending + stats.running + ended, "{stats}");
        assert!(background.stored().get(id).retry().await.unwrap());
        // It has all its runs again, and each attempt a number of its own.
        lab.timeline.reached_times("fail", 4).await;
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!(failure.attempts, 4);
        background.shutdown().await;
    }

    /// P-DURABLE-21
    #[test]
    async fn a_task_that_waits_can_be_cancelled(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let later = Note::new("never").delay(Duration::from_secs(3600));
        let id = background.enqueue(later).await.unwrap();
        let task = background.stored().get(id);
        assert_eq!(status(&background, id).await.state, StoredState::Scheduled);
        assert_eq!(task.cancel().await.unwrap(), Cancelled::Waiting);
        assert_eq!(task.cancel().await.unwrap(), Cancelled::TooLate);
        let elsewhere = lab.background(&Place::memory());
        let unknown = elsewhere.enqueue(Note::new("elsewhere")).await.unwrap();
        let unknown = background.stored().get(unknown);
        assert_eq!(unknown.cancel().await.unwrap(), Cancelled::Unknown);
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Aborted);
        assert_eq!(failure.attempts, 0);
        background.shutdown().await;
        assert!(lab.timeline.names().is_empty());
    }

    /// P-DURABLE-21
    #[test]
    async fn a_task_that_runs_is_told_when_it_is_cancelled(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        worker.start().await.unwrap();
        let id = creator.enqueue(Hold::new("task")).await.unwrap();
        lab.timeline.reached("task 1").await;
        assert_eq!(creator.stored().get(id).cancel().await.unwrap(), Cancelled::Told);
        lab.timeline.reached("task cancelled").await;
        // It has ended well, within the time that it was given.
        ends(&creator, id).await.unwrap();
        worker.shutdown().await;
    }

    /// P-DURABLE-21
    #[test]
    async fn a_task_that_does_not_listen_ends_when_it_is_cancelled(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let id = background.enqueue(Count::new(1)).await.unwrap();
        let mut progress = background.stored().get(id).progress();
        within("progress", progress.next()).await.unwrap();
        assert_eq!(background.stored().get(id).cancel().await.unwrap(), Cancelled::Told);
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Aborted);
        assert_eq!(status(&background, id).await.state, StoredState::Cancelled);
        assert_eq!(background.stats().aborted, 1);
        background.shutdown().await;
    }

    /// P-DURABLE-22
    #[test]
    async fn progress_and_the_end_reach_the_process_that_stored_the_task(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        let id = creator.enqueue(Count::new(3)).await.unwrap();
        let task = creator.stored().get(id);
        let mut progress = task.progress();
        worker.start().await.unwrap();
        let outcome = tokio::spawn(async move { task.outcome().await });
        for step in 1..=3 {
            // Each once, because the task takes no step before the last one was seen.
            let latest = within("progress", progress.next()).await.unwrap();
            assert_eq!((latest.done(), latest.total(), latest.message()), (step, 3, "counting"));
            lab.gate.add_permits(1);
        }
        within("the end", outcome).await.unwrap().unwrap();
        assert_eq!(within("the end of the progress", progress.next()).await, None);
        let late = creator.stored().get(id);
        let last = within("progress", late.progress().next()).await.unwrap();
        assert_eq!(last.done(), 3);
        worker.shutdown().await;
    }

    /// P-DURABLE-17
    #[test]
    async fn a_second_task_like_a_unique_one_is_refused_while_it_is_unfinished(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let first = background.enqueue(Note::new("one").unique()).await.unwrap();
        let second = background.enqueue(Note::new("one").unique()).await;
        let Err(EnqueueError::Duplicate { existing, .. }) = second else {
            panic!("{second:?}");
        };
        assert!(existing.is_none_or(|existing| existing == first));
        background.enqueue(Note::new("two").unique()).await.unwrap();
        let hourly = || Note::new("hourly").unique_for(Duration::from_secs(3600));
        let completed = background.enqueue(hourly()).await.unwrap();
        background.start().await.unwrap();
        ends(&background, first).await.unwrap();
        background.enqueue(Note::new("one").unique()).await.unwrap();
        ends(&background, completed).await.unwrap();
        let text = background.enqueue(hourly()).await.unwrap_err().to_string();
        assert!(text.contains("is unfinished or was stored less than its `unique_for` ago"), "{text}");
        background.shutdown().await;
    }

    /// P-DURABLE-18
    #[test]
    async fn no_more_tasks_of_a_key_are_unfinished_than_may_be(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let tasks = ["ada", "ada", "bob", "ada"].map(Export::new);
        let stored = background.enqueue_all(tasks).await.unwrap();
        let refused = stored.iter().filter(|stored| stored.is_err()).count();
        assert_eq!((stored.len(), refused), (4, 1));
        let full = background.enqueue(Export::new("ada")).await.unwrap_err();
        let EnqueueError::TooMany { key, limit, .. } = full else {
            panic!("{full:?}");
        };
        assert_eq!((key.as_str(), limit), ("ada", 2));
        assert_eq!(background.stored().key("ada").list().await.unwrap().tasks.len(), 2);
        background.start().await.unwrap();
        for id in stored.into_iter().flatten() {
            ends(&background, id).await.unwrap();
        }
        background.enqueue(Export::new("ada")).await.unwrap();
        background.shutdown().await;
    }

    /// P-DURABLE-19
    #[test]
    async fn a_task_that_has_not_begun_in_time_is_not_run(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let expired = Note::new("late").expires_in(Duration::ZERO);
        let id = background.enqueue(expired).await.unwrap();
        background.start().await.unwrap();
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Skipped);
        assert!(failure.error.contains("it had not begun"), "{failure}");
        background.shutdown().await;
        assert!(lab.timeline.names().is_empty());
    }

    /// P-DURABLE-20
    #[test]
    async fn a_shutdown_gives_back_what_does_not_end_in_time(place: &Place) {
        let lab = Lab::new();
        let builder = lab.builder(place);
        let first = builder.drain_timeout(Duration::ZERO).build().unwrap();
        first.start().await.unwrap();
        let id = first.enqueue(Count::new(1)).await.unwrap();
        let mut progress = first.stored().get(id).progress();
        within("progress", progress.next()).await.unwrap();
        let report = within("the shutdown", first.shutdown()).await;
        assert_eq!((report.given_back(), report.stats().returned), (1, 1), "{report}");
        assert!(report.is_clean());
        let second = lab.background(place);
        let given_back = status(&second, id).await;
        assert!(!given_back.state.is_final(), "{given_back:?}");
        assert!(given_back.errors.is_empty(), "it has used up no attempt: {given_back:?}");
        second.start().await.unwrap();
        lab.gate.add_permits(1);
        ends(&second, id).await.unwrap();
        second.shutdown().await;
    }

    /// The last word about its progress is on its way to the store, and its outcome waits behind that.
    ///
    /// P-DURABLE-20
    #[test]
    async fn a_task_with_progress_that_ends_in_a_shutdown_is_recorded(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let id = background.enqueue(Count::new(1)).await.unwrap();
        let mut progress = background.stored().get(id).progress();
        within("progress", progress.next()).await.unwrap();
        let mut shutdown = std::pin::pin!(background.shutdown());
        assert!(futures_util::poll!(&mut shutdown).is_pending());
        lab.gate.add_permits(1);
        let report = within("the shutdown", shutdown).await;
        assert_eq!((report.stats().completed, report.given_back()), (1, 0), "{report}");
        let ended = status(&lab.background(place), id).await;
        assert_eq!((ended.state, ended.attempt), (StoredState::Completed, 1));
    }

    /// P-DURABLE-20
    #[test]
    async fn a_synchronous_task_is_told_of_a_shutdown_and_given_back(place: &Place) {
        let lab = Lab::new();
        let builder = lab.builder(place);
        let background = builder.drain_timeout(Duration::from_millis(50)).build().unwrap();
        background.start().await.unwrap();
        background.enqueue(Block::new()).await.unwrap();
        lab.timeline.reached("blocks").await;
        let report = within("the shutdown", background.shutdown()).await;
        lab.timeline.reached("unblocked").await;
        assert_eq!(report.stats().accepted, 1);
        assert_eq!(report.stats().completed + report.stats().returned, 1, "{report}");
    }

    /// P-DURABLE-8
    #[test]
    async fn each_of_many_tasks_runs_once_whichever_worker_takes_it(place: &Place) {
        const TASKS: usize = 200;
        let lab = Lab::new();
        let workers = [lab.background(place), lab.background(place), lab.background(place)];
        let creator = lab.background(place);
        for worker in &workers {
            worker.start().await.unwrap();
        }
        let tasks = (0..TASKS).map(|number| Note::new(number.to_string()));
        let ids = creator.enqueue_all(tasks).await.unwrap();
        for id in ids {
            ends(&creator, id.unwrap()).await.unwrap();
        }
        let mut completed = 0;
        for worker in workers {
            completed += worker.shutdown().await.stats().completed;
        }
        assert_eq!(completed, TASKS as u64);
        assert_eq!(lab.timeline.names().len(), TASKS);
    }

    /// P-DURABLE-24
    #[test]
    async fn a_paused_queue_keeps_its_tasks_until_it_is_resumed(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        background.queue("default").pause().await.unwrap();
        // Whatever the workers knew before: this one is asked for after the pause has reached them.
        let id = loop {
            let id = background.enqueue(Note::new("early")).await.unwrap();
            let task = background.stored().get(id);
            let ended = tokio::time::timeout(Duration::from_millis(300), task.outcome());
            if ended.await.is_err() {
                break id;
            }
        };
        assert_eq!(status(&background, id).await.state, StoredState::Waiting);
        assert!(background.queue("default").oldest().await.unwrap().is_some());
        background.queue("default").resume().await.unwrap();
        ends(&background, id).await.unwrap();
        background.shutdown().await;
    }

    /// P-DURABLE-23
    #[test]
    async fn lists_have_pages_and_filters_and_orders_for_all_of_them(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let later = Duration::from_secs(3600);
        let tasks = (0..5).map(|number| Note::new(number.to_string()).delay(later));
        background.enqueue_all(tasks).await.unwrap();
        background.enqueue(Export::new("ada")).await.unwrap();
        let notes = background.stored().name("tests.no*").limit(2);
        let mut texts = Vec::new();
        let mut page = notes.list().await.unwrap();
        loop {
            assert!(page.tasks.len() <= 2);
            texts.extend(page.tasks.iter().map(|task| task.arguments.clone()));
            let Some(next) = page.next else { break };
            page = notes.clone().after(next).list().await.unwrap();
        }
        let expected = (0..5).rev().map(|number| format!(r#"{{"text":"{number}"}}"#));
        assert_eq!(texts, expected.collect::<Vec<_>>());
        let counts = background.stored().counts().await.unwrap();
        assert_eq!(counts, [(StoredState::Scheduled, 5), (StoredState::Waiting, 1)]);
        let scheduled = background.stored().state(StoredState::Scheduled);
        assert_eq!(scheduled.cancel_all().await.unwrap(), 5);
        let cancelled = background.stored().state(StoredState::Cancelled);
        assert_eq!(cancelled.retry_all().await.unwrap(), 5);
        assert_eq!(background.stored().delete_all().await.unwrap(), 6);
        assert!(background.stored().list().await.unwrap().tasks.is_empty());
    }

    /// P-DURABLE-25
    #[test]
    async fn a_secret_is_sealed_in_the_store_and_opened_by_the_worker(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        background.start().await.unwrap();
        let id = background.enqueue(Secret::new("4711")).await.unwrap();
        ends(&background, id).await.unwrap();
        lab.timeline.reached("code 4711").await;
        assert_eq!(status(&background, id).await.arguments, r#"{"code":"***"}"#);
        background.shutdown().await;
    }

    /// P-DURABLE-19
    #[test]
    async fn who_waits_for_a_task_that_expires_is_told_though_no_worker_is_there(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let soon = Note::new("never").expires_in(Duration::from_millis(300));
        let id = background.enqueue(soon).await.unwrap();
        assert_eq!(status(&background, id).await.state, StoredState::Waiting);
        let failure = ends(&background, id).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Skipped);
        assert!(failure.error.contains("it had not begun"), "{failure}");
        assert_eq!(status(&background, id).await.state, StoredState::Cancelled);
    }

    /// P-DURABLE-31
    #[test]
    async fn baggage_travels_with_a_task_to_another_process(place: &Place) {
        let lab = Lab::new();
        let pack = || [("tenant".to_owned(), "ada".to_owned())];
        let creator = lab.builder(place).baggage(pack).build().unwrap();
        let worker = lab.background(place);
        let id = creator.enqueue(Unpack::new()).await.unwrap();
        worker.start().await.unwrap();
        ends(&creator, id).await.unwrap();
        assert_eq!(lab.timeline.names(), ["tenant ada"]);
        creator.spawn(Unpack::new().in_process()).await.unwrap();
        assert_eq!(lab.timeline.count("tenant ada"), 2);
        let too_much = || [("tenant".to_owned(), "x".repeat(9000))];
        let packed = lab.builder(place).baggage(too_much).build().unwrap();
        let refused = packed.enqueue(Unpack::new()).await.unwrap_err();
        assert!(refused.to_string().contains("9006 bytes"), "{refused}");
        worker.shutdown().await;
    }

    /// P-DURABLE-27
    #[test]
    async fn an_argument_that_no_store_takes_is_refused_before_it_is_stored(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let nul = background.enqueue(Note::new("a\0b")).await.unwrap_err();
        assert!(matches!(nul, EnqueueError::Arguments { .. }), "{nul}");
        assert!(nul.to_string().contains("U+0000"), "{nul}");
        let large = background.enqueue(Note::new("x".repeat(2 << 20))).await.unwrap_err();
        assert!(matches!(large, EnqueueError::TooLarge { limit: 1_048_576, .. }), "{large}");
        for queue in ["", "Slow", "very slow", "slow-", "a\0b", &"x".repeat(65)] {
            let queue = background.enqueue(Note::new("a").queue(queue.to_owned())).await.unwrap_err();
            assert!(queue.to_string().contains("has no name of one"), "{queue}");
        }
        let packs = lab.builder(place).baggage(|| [("a".to_owned(), "b\0c".to_owned())]);
        let nul = packs.build().unwrap().enqueue(Unpack::new()).await.unwrap_err();
        assert!(nul.to_string().contains("in its baggage, a text has the character U+0000"), "{nul}");
        assert!(background.stored().list().await.unwrap().tasks.is_empty());
    }
}
