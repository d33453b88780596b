//! Kinvey's page of background tasks, line by line, on every store that several processes can share.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use bg_runtime::durable::{Cancelled, EnqueueError, SecretKey, Store, StoredState, TaskStatus};
use bg_runtime::{Background, FailureKind, TaskExt, TaskId, background_task, post, routes};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use tests::durable::{Evidence, Fault, FaultyLink, Node, Place};
use tests::{on_each_shared_store, within};
use tower::ServiceExt as _;

use crate::kill::{all_end, observer};
use crate::tasks::{Count, KEY, Lab, Note, Number};

const PROGRAM: &str = env!("CARGO_BIN_EXE_kinvey");

/// One of a user at once, which ends as it is told to.
#[background_task(durable, name = "tests.owe", key = user, max_unfinished_per_key = 1, retries = 0)]
async fn owe(user: String, end: String, #[state] lab: Lab) -> Result<(), String> {
    lab.timeline.mark(format!("owes {user}"));
    match end.as_str() {
        "well" => Ok(()),
        "badly" => Err(user),
        _ => std::future::pending().await,
    }
}

/// Processes of the program beside these tests, and what their tasks write.
struct Fleet {
    place: String,
    evidence: Evidence,
    _directory: tempfile::TempDir,
}

impl Fleet {
    /// Makes the tables first, so that the processes do not wait for each other.
    async fn new(place: &Place) -> (Self, Background) {
        let observer = observer(place);
        observer.start().await.expect("a store");
        let directory = tempfile::tempdir().unwrap();
        let fleet = Self {
            place: place.to_argument(),
            evidence: Evidence::at(directory.path().join("evidence")),
            _directory: directory,
        };
        (fleet, observer)
    }

    async fn start(&self, role: &str) -> Node {
        let place = self.place.parse().expect("it was made of one");
        Node::start(Path::new(PROGRAM), role, &place, &self.evidence).await
    }
}

/// Another process's worker, with settings of its own.
fn worker(lab: &Lab, place: &Place, set: impl FnOnce(Store) -> Store) -> Background {
    let store = set(place.store()).secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(lab.clone()).durable(store);
    let builder = builder.drain_timeout(Duration::from_secs(20));
    builder.build().expect("nothing to refuse")
}

async fn status(background: &Background, id: TaskId) -> TaskStatus {
    let status = background.stored().get(id).status().await.unwrap();
    status.expect("it is stored")
}

async fn ends(
    background: &Background,
    id: TaskId,
) -> Result<(), bg_runtime::durable::StoredFailure> {
    let task = background.stored().get(id);
    within("the end of a stored task", task.outcome()).await
}

/// Waits until the task is in this state.
async fn comes_to(background: &Background, id: TaskId, state: StoredState) -> TaskStatus {
    within("a state", async {
        loop {
            let status = status(background, id).await;
            if status.state == state {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[post("/owe/{user}")]
async fn store_one(
    State(background): State<Background>,
    user: String,
) -> Result<String, EnqueueError> {
    Ok(background
        .enqueue(Owe::new(user, "well"))
        .await?
        .to_string())
}

/// An application that tells its clients why.
#[post("/explained/{user}")]
async fn explain(
    State(background): State<Background>,
    user: String,
) -> Result<String, (StatusCode, String)> {
    let stored = background.enqueue(Owe::new(user, "well")).await;
    match stored {
        Ok(id) => Ok(id.to_string()),
        Err(error) => Err((StatusCode::TOO_MANY_REQUESTS, error.to_string())),
    }
}

on_each_shared_store! {
    /// "Background tasks involve two concepts, creators and workers."
    ///
    /// P-DURABLE-70
    #[test]
    async fn creators_and_workers_are_different_processes(place: &Place) {
        let (fleet, _) = Fleet::new(place).await;
        let (creator, worker) = (fleet.start("serve").await, fleet.start("work").await);
        assert_eq!(creator.post("/builds/3").await, Some(201));
        fleet.evidence.reached("outcome Ok(())").await;
        let heard = fleet.evidence.lines();
        let last = format!("heard 3 of 3: in {}", worker.process());
        assert!(heard.contains(&last), "{heard:?}");
        assert_ne!(creator.process(), worker.process());
        let report = worker.stop().await;
        assert!(report.contains("1 completed"), "{report}");
        let report = creator.stop().await;
        assert!(report.contains("0 completed"), "{report}");
    }

    /// "Workers are event driven, not polling." What a worker does once in a second takes half of one on average. On a file
    /// it looks each 20 ms whether that has changed, which the documentation says.
    ///
    /// P-DURABLE-71
    #[test]
    async fn a_worker_is_woken_and_does_not_poll(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        worker.start().await.unwrap();
        let mut waits = Vec::new();
        for number in 0..11 {
            let text = format!("note {number}");
            let begun = Instant::now();
            let id = creator.enqueue(Note::new(&text)).await.unwrap();
            lab.timeline.reached(&text).await;
            waits.push(begun.elapsed());
            ends(&creator, id).await.unwrap();
        }
        waits.sort_unstable();
        assert!(waits[5] < Duration::from_millis(150), "{waits:?}");
        worker.shutdown().await;
    }

    /// "Where only N tasks can be pending on a certain key."
    ///
    /// P-DURABLE-18
    #[test]
    async fn at_most_n_tasks_of_a_key_are_pending_over_all_processes(place: &Place) {
        let (fleet, observer) = Fleet::new(place).await;
        let creators = [
            fleet.start("serve").await,
            fleet.start("serve").await,
            fleet.start("serve").await,
        ];
        for round in 1..=2 {
            let requests = (0..20).flat_map(|_| creators.iter().map(|node| node.post("/exports/ada")));
            let answers = join_all(requests).await;
            let with = |status| answers.iter().filter(|answer| **answer == Some(status)).count();
            assert_eq!((with(201), with(429)), (5, 55), "{answers:?}");
            assert_eq!(creators[0].post(&format!("/exports/bob{round}")).await, Some(201));
            let worker = fleet.start("work").await;
            all_end(&observer).await;
            let report = worker.stop().await;
            assert!(report.contains("6 completed"), "{report}");
        }
        for creator in creators {
            creator.stop().await;
        }
    }

    /// "Pending": until they have ended, however that is.
    ///
    /// P-DURABLE-18
    #[test]
    async fn a_key_is_freed_by_completion_failure_cancel_and_expiry(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        let is_full = async || {
            let refused = creator.enqueue(Owe::new("ada", "well")).await;
            assert!(matches!(refused, Err(EnqueueError::TooMany { .. })), "{refused:?}");
        };
        let soon = Owe::new("ada", "well").expires_in(Duration::from_millis(300));
        let expires = creator.enqueue(soon).await.unwrap();
        is_full().await;
        assert_eq!(ends(&creator, expires).await.unwrap_err().kind, FailureKind::Skipped);
        let waits = creator.enqueue(Owe::new("ada", "well")).await.unwrap();
        is_full().await;
        assert_eq!(creator.stored().get(waits).cancel().await.unwrap(), Cancelled::Waiting);
        worker.start().await.unwrap();
        let completes = creator.enqueue(Owe::new("ada", "well")).await.unwrap();
        ends(&creator, completes).await.unwrap();
        let fails = creator.enqueue(Owe::new("ada", "badly")).await.unwrap();
        assert_eq!(ends(&creator, fails).await.unwrap_err().kind, FailureKind::Error);
        let runs = creator.enqueue(Owe::new("ada", "never")).await.unwrap();
        comes_to(&creator, runs, StoredState::Running).await;
        is_full().await;
        assert_eq!(creator.stored().get(runs).cancel().await.unwrap(), Cancelled::Told);
        assert_eq!(ends(&creator, runs).await.unwrap_err().kind, FailureKind::Aborted);
        let last = creator.enqueue(Owe::new("ada", "well")).await.unwrap();
        ends(&creator, last).await.unwrap();
        worker.shutdown().await;
    }

    /// "Prior to failures": what those are.
    ///
    /// P-DURABLE-72
    #[test]
    async fn a_full_key_is_a_429_that_names_task_key_and_limit(place: &Place) {
        let lab = Lab::new();
        let background = lab.background(place);
        let app: Router = routes![store_one, explain].with_state(background.clone());
        let answer = async |path: &str| {
            let request = Request::post(path).body(Body::empty()).unwrap();
            let answer = app.clone().oneshot(request).await.unwrap();
            let status = answer.status();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        assert_eq!(answer("/owe/ada").await.0, StatusCode::OK);
        let refused = answer("/owe/ada").await;
        assert_eq!(refused, (StatusCode::TOO_MANY_REQUESTS, String::new()));
        let (status, text) = answer("/explained/ada").await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        let named = ["tests.owe", "1 of its key \"ada\""];
        assert!(named.iter().all(|named| text.contains(named)), "{text}");
        assert_eq!(answer("/owe/bob").await.0, StatusCode::OK);
    }

    /// "Task timeout (in ms)."
    ///
    /// P-DURABLE-73
    #[test]
    async fn a_timeout_reaches_the_creator(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        worker.start().await.unwrap();
        let short = Number::new(1).timeout(Duration::from_millis(50));
        let id = creator.enqueue(short).await.unwrap();
        let failure = ends(&creator, id).await.unwrap_err();
        assert_eq!((failure.kind, failure.attempts), (FailureKind::Timeout, 1), "{failure}");
        assert_eq!(status(&creator, id).await.state, StoredState::Dead);
        worker.shutdown().await;
    }

    /// "Should no worker execute the task in a specific time then a failure is reported back."
    ///
    /// P-DURABLE-19
    #[test]
    async fn nobody_took_it_in_time_reaches_the_creator(place: &Place) {
        let lab = Lab::new();
        let creator = lab.background(place);
        // There is a worker, but not for this.
        let other = worker(&lab, place, |store| store.only(["tests.hold"]));
        other.start().await.unwrap();
        let soon = Note::new("never").expires_in(Duration::from_millis(200));
        let id = creator.enqueue(soon).await.unwrap();
        let failure = ends(&creator, id).await.unwrap_err();
        assert_eq!((failure.kind, failure.attempts), (FailureKind::Skipped, 0), "{failure}");
        other.shutdown().await;
        assert!(lab.timeline.names().is_empty());
    }

    /// "Calling progress on task progress and callback when complete", in as many places as listen.
    ///
    /// P-DURABLE-22
    #[test]
    async fn progress_reaches_the_creator_and_many_listeners(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        let elsewhere = lab.background(place);
        let id = creator.enqueue(Count::new(3)).await.unwrap();
        let tasks = (0..10).map(|at| match at % 2 {
            0 => creator.stored().get(id),
            _ => elsewhere.stored().get(id),
        });
        let mut listeners: Vec<_> = tasks.map(|task| (task.progress(), task)).collect();
        worker.start().await.unwrap();
        for step in 1..=3 {
            for (progress, _) in &mut listeners {
                // It takes no step before all have heard of this one, which some may hear twice.
                loop {
                    let heard = within("progress", progress.next()).await.unwrap();
                    if heard.done() == step {
                        break;
                    }
                    assert_eq!(heard.done() + 1, step);
                }
            }
            lab.gate.add_permits(1);
        }
        for (mut progress, task) in listeners {
            within("the outcome", task.outcome()).await.unwrap();
            while let Some(heard) = within("the end of the progress", progress.next()).await {
                assert_eq!(heard.done(), 3);
            }
        }
        worker.shutdown().await;
    }

    /// P-DURABLE-22
    #[test]
    async fn a_listener_that_comes_late_hears_the_latest(place: &Place) {
        let lab = Lab::new();
        let (creator, worker) = (lab.background(place), lab.background(place));
        worker.start().await.unwrap();
        let id = creator.enqueue(Count::new(3)).await.unwrap();
        lab.gate.add_permits(1);
        within("the second step", async {
            let mut progress = creator.stored().get(id).progress();
            while progress.next().await.is_some_and(|step| step.done() < 2) {}
        })
        .await;
        let late = lab.background(place);
        let mut progress = late.stored().get(id).progress();
        let latest = within("the latest", progress.next()).await.unwrap();
        assert_eq!((latest.done(), latest.message()), (2, "counting"));
        lab.gate.add_permits(2);
        ends(&late, id).await.unwrap();
        let later = lab.background(place);
        ends(&later, id).await.unwrap();
        let mut progress = later.stored().get(id).progress();
        assert_eq!(within("the last", progress.next()).await.unwrap().done(), 3);
        assert_eq!(within("the end", progress.next()).await, None);
        worker.shutdown().await;
    }

    /// A file has no connection that could break.
    ///
    /// P-DURABLE-22
    #[test]
    async fn a_listener_whose_connection_breaks_hears_the_outcome(place: &Place) {
        let Some(port) = port_of(place) else { return };
        let lab = Lab::new();
        let worker = lab.background(place);
        worker.start().await.unwrap();
        for breaks in [
            |link: &FaultyLink| link.set(Fault::Reset),
            |link: &FaultyLink| link.set(Fault::Silence),
            FaultyLink::abandon,
        ] {
            let link = FaultyLink::to(port).await;
            let creator = lab.background(&through(place, link.port()));
            let id = creator.enqueue(Count::new(1)).await.unwrap();
            let task = creator.stored().get(id);
            let mut progress = task.progress();
            within("progress", progress.next()).await.unwrap();
            let outcome = tokio::spawn(async move { task.outcome().await });
            breaks(&link);
            lab.gate.add_permits(1);
            // It has ended while nobody could be told.
            comes_to(&worker, id, StoredState::Completed).await;
            link.set(Fault::None);
            within("the outcome", outcome).await.unwrap().unwrap();
            let ended = async { while progress.next().await.is_some() {} };
            within("the end of the progress", ended).await;
        }
        worker.shutdown().await;
    }

    /// "If multiple workers accept the task then the first to accept will handle the task."
    ///
    /// P-DURABLE-8
    #[test]
    async fn exactly_one_of_many_workers_gets_a_task(place: &Place) {
        const TASKS: u64 = 120;
        let (fleet, observer) = Fleet::new(place).await;
        let creator = fleet.start("serve").await;
        let mut workers = Vec::new();
        for _ in 0..3 {
            workers.push(fleet.start("work").await);
        }
        for numbers in (0..TASKS).collect::<Vec<_>>().chunks(20) {
            let requests = numbers.iter().map(|number| {
                let creator = &creator;
                async move { creator.post(&format!("/proofs/{number}/5")).await }
            });
            assert!(join_all(requests).await.iter().all(|answer| *answer == Some(201)));
        }
        all_end(&observer).await;
        let ended = fleet.evidence.ended();
        assert_eq!(ended.len() as u64, TASKS);
        let twice: Vec<_> = ended.iter().filter(|(_, runs)| runs.len() > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
        assert_eq!(fleet.evidence.begun() as u64, TASKS);
        for worker in workers {
            worker.stop().await;
        }
    }

    /// "completeTask(taskId, status, msg)", by a worker that stood still while another one was given its task.
    ///
    /// P-DURABLE-12
    #[test]
    async fn completing_what_one_does_not_hold_changes_nothing(place: &Place) {
        let (fleet, observer) = Fleet::new(place).await;
        let (creator, first) = (fleet.start("serve").await, fleet.start("work").await);
        assert_eq!(creator.post("/proofs/1/2000").await, Some(201));
        fleet.evidence.reached("begun 1 1").await;
        first.signal("STOP").await;
        let second = fleet.start("work").await;
        fleet.evidence.reached("begun 1 2").await;
        let id = observer.stored().list().await.unwrap().tasks[0].id;
        first.signal("CONT").await;
        let ended = |attempt: &str| {
            let begin = format!("ended 1 {attempt} ");
            let lines = fleet.evidence.lines();
            lines.iter().any(|line| line.starts_with(&begin))
        };
        within("the end of the second run", async {
            while !ended("2") {
                // Before the look at the evidence, where the second run writes before it completes.
                let status = status(&observer, id).await;
                let is_open = !ended("2");
                let is_held = status.state == StoredState::Running && status.attempt == 2;
                assert!(is_held || !is_open, "the first has changed it: {status:?}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
        all_end(&observer).await;
        let status = status(&observer, id).await;
        assert_eq!((status.state, status.attempt), (StoredState::Completed, 2));
        let errors: Vec<_> = status.errors.iter().map(|error| (error.attempt, error.kind)).collect();
        assert_eq!(errors, [(1, FailureKind::Lost)], "{status:?}");
        first.stop().await;
        let report = second.stop().await;
        assert!(report.contains("1 completed"), "{report}");
    }

    /// "task -- listen for specific tasks only."
    ///
    /// P-DURABLE-74
    #[test]
    async fn a_worker_listens_for_some_tasks_only(place: &Place) {
        let (ours, theirs) = (Lab::new(), Lab::new());
        let creator = ours.background(place);
        let first = worker(&ours, place, |store| store.only(["tests.no*"]));
        let second = worker(&theirs, place, |store| store.only(["tests.owe"]));
        first.start().await.unwrap();
        let mut ids = Vec::new();
        for number in 0..10 {
            ids.push(creator.enqueue(Note::new(format!("note {number}"))).await.unwrap());
            let user = format!("user {number}");
            ids.push(creator.enqueue(Owe::new(user, "well")).await.unwrap());
        }
        for note in ids.iter().step_by(2) {
            ends(&creator, *note).await.unwrap();
        }
        // The worker of the notes keeps none of the others from whoever comes for them.
        second.start().await.unwrap();
        for id in ids {
            ends(&creator, id).await.unwrap();
        }
        first.shutdown().await;
        second.shutdown().await;
        let all = |lab: &Lab, begin: &str| lab.timeline.names().iter().all(|name| name.starts_with(begin));
        assert!(all(&ours, "note ") && all(&theirs, "owes "));
        assert_eq!((ours.timeline.names().len(), theirs.timeline.names().len()), (10, 10));
    }

    /// P-DURABLE-74
    #[test]
    async fn a_worker_looks_at_some_queues_only(place: &Place) {
        let (ours, theirs) = (Lab::new(), Lab::new());
        let creator = ours.background(place);
        let first = worker(&ours, place, |store| store.queues([("default", 2)]));
        let second = worker(&theirs, place, |store| store.queues(["exports"]));
        first.start().await.unwrap();
        let there = creator.enqueue(Note::new("there").queue("exports")).await.unwrap();
        let here = creator.enqueue(Note::new("here")).await.unwrap();
        ends(&creator, here).await.unwrap();
        assert_eq!(status(&creator, there).await.state, StoredState::Waiting);
        second.start().await.unwrap();
        ends(&creator, there).await.unwrap();
        first.shutdown().await;
        second.shutdown().await;
        assert_eq!(ours.timeline.names(), ["here"]);
        assert_eq!(theirs.timeline.names(), ["there"]);
    }

    /// P-DURABLE-75
    #[test]
    async fn a_payload_that_is_too_large_is_refused_where_it_is_stored(place: &Place) {
        let lab = Lab::new();
        let creator = worker(&lab, place, |store| store.max_payload(100));
        let fits = "x".repeat(100 - r#"{"text":""}"#.len());
        creator.enqueue(Note::new(&fits)).await.unwrap();
        let refused = creator.enqueue(Note::new(fits + "x")).await.unwrap_err();
        assert!(matches!(refused, EnqueueError::TooLarge { size: 101, limit: 100, .. }), "{refused}");
        assert_eq!(creator.stored().list().await.unwrap().tasks.len(), 1);
    }

    /// P-DURABLE-75
    #[test]
    async fn a_payload_that_is_too_large_for_a_worker_waits_for_another(place: &Place) {
        let (small, large) = (Lab::new(), Lab::new());
        let creator = small.background(place);
        let first = worker(&small, place, |store| store.max_payload(100));
        first.start().await.unwrap();
        let text = "x".repeat(200);
        let id = creator.enqueue(Note::new(&text)).await.unwrap();
        // As large as this worker takes, whatever the database writes between the arguments.
        let text_of_100 = "y".repeat(100 - r#"{"text":""}"#.len());
        let fits = creator.enqueue(Note::new(&text_of_100)).await.unwrap();
        ends(&creator, fits).await.unwrap();
        let back = comes_to(&creator, id, StoredState::Scheduled).await;
        let [why] = back.errors.as_slice() else { panic!("{back:?}") };
        assert_eq!(why.kind, FailureKind::Undecodable);
        assert!(why.error.contains("take 211 bytes, and this worker takes at most 100"), "{why:?}");
        first.shutdown().await;
        assert_eq!(small.timeline.names(), [text_of_100]);
        let second = large.background(place);
        second.start().await.unwrap();
        place.let_time_pass().await;
        ends(&creator, id).await.unwrap();
        assert_eq!(large.timeline.names(), [text]);
        second.shutdown().await;
    }

    /// "shutdown(callback)"
    ///
    /// P-DURABLE-20
    #[test]
    async fn a_shutdown_reports_what_it_did(place: &Place) {
        let lab = Lab::new();
        let builder = lab.builder(place).drain_timeout(Duration::ZERO);
        let background = builder.build().unwrap();
        background.start().await.unwrap();
        for text in ["one", "two", "fail"] {
            let id = background.enqueue(Note::new(text)).await.unwrap();
            let _ = ends(&background, id).await;
        }
        let held = background.enqueue(Count::new(1)).await.unwrap();
        let mut progress = background.stored().get(held).progress();
        within("progress", progress.next()).await.unwrap();
        let report = within("the shutdown", background.shutdown()).await;
        let stats = report.stats();
        assert_eq!((stats.stored, stats.completed, stats.failed), (4, 2, 1), "{report}");
        assert_eq!((report.given_back(), report.is_clean()), (1, true), "{report}");
        let text = report.to_string();
        assert!(text.contains("2 completed") && text.contains("1 failed"), "{text}");
    }

    /// P-DURABLE-11, P-DURABLE-76
    #[test]
    async fn what_a_crashed_process_left_is_named_and_runs_again(place: &Place) {
        let (fleet, observer) = Fleet::new(place).await;
        let (creator, first) = (fleet.start("serve").await, fleet.start("work").await);
        for number in 1..=2 {
            assert_eq!(creator.post(&format!("/hangs/{number}")).await, Some(201));
        }
        assert_eq!(creator.post("/proofs/3/60000").await, Some(201));
        tests::eventually("all runs", || fleet.evidence.begun() == 3).await;
        let tasks = observer.stored().list().await.unwrap().tasks;
        let workers: BTreeSet<_> = tasks.into_iter().filter_map(|task| task.worker).collect();
        let [worker] = &workers.into_iter().collect::<Vec<_>>()[..] else { panic!("one worker") };
        first.kill().await;
        // At once, when it has not been silent for long.
        let second = fleet.start("work").await;
        fleet.evidence.reached_with("a worker that is silent has left tasks").await;
        for number in 1..=2 {
            fleet.evidence.reached_with(&format!("ended {number} 2")).await;
        }
        let lines = fleet.evidence.lines();
        let named: Vec<_> = lines.iter().filter(|line| line.contains("has left tasks")).collect();
        let [named] = named.as_slice() else { panic!("one warning: {named:?}") };
        let tasks = "tasks=kinvey.hang (2), kinvey.prove (1)";
        assert!(named.contains("WARN") && named.contains(tasks), "{named}");
        assert!(named.contains(&format!("worker={worker}")), "{named} {worker}");
        second.kill().await;
        creator.stop().await;
    }
}

/// Where the server is that a link can be put in front of.
fn port_of(place: &Place) -> Option<u16> {
    let url = match place {
        #[cfg(feature = "postgres")]
        Place::Postgres { url, .. } => url,
        #[cfg(feature = "redis")]
        Place::Redis { url, .. } => url,
        _ => return None,
    };
    let (_, rest) = url.rsplit_once(':')?;
    rest.split('/').next()?.parse().ok()
}

/// The same place, at another port.
fn through(place: &Place, port: u16) -> Place {
    match place {
        #[cfg(feature = "postgres")]
        Place::Postgres { url, schema } => Place::Postgres {
            url: at(url, port),
            schema: schema.clone(),
        },
        #[cfg(feature = "redis")]
        Place::Redis { url, prefix } => Place::Redis {
            url: at(url, port),
            prefix: prefix.clone(),
        },
        _ => panic!("it has no server"),
    }
}

fn at(url: &str, port: u16) -> String {
    let (begin, rest) = url.rsplit_once(':').expect("a port");
    match rest.split_once('/') {
        Some((_, path)) => format!("{begin}:{port}/{path}"),
        None => format!("{begin}:{port}"),
    }
}
