//! A server that goes away, and a network to it that fails: what was stored runs, and nobody hangs.

use std::time::{Duration, Instant};

use bg_runtime::durable::{SecretKey, StoredState};
use bg_runtime::{Background, TaskExt, TaskId};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tests::durable::{DatabaseServer, Fault, FaultyLink, Place};
use tests::within;

use crate::tasks::{Hold, KEY, Lab, Note, Number};

/// How long storing may take in these tests.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

fn background(lab: &Lab, place: &Place) -> Background {
    let store = place.store().lease(Duration::from_secs(2));
    let store = store.store_timeout(STORE_TIMEOUT);
    let store = store.secret_keys([SecretKey::new(KEY)]);
    let builder = Background::builder().state(lab.clone()).durable(store);
    builder.build().expect("nothing to refuse")
}

/// Stores tasks one after the other until it is told to stop. None may take much longer than storing may.
async fn store_until(
    background: Background,
    name: &'static str,
    stop: tokio::sync::watch::Receiver<bool>,
) -> (Vec<TaskId>, usize) {
    let (mut stored, mut refused) = (Vec::new(), 0);
    let mut number = 0;
    while !*stop.borrow() {
        number += 1;
        let begun = Instant::now();
        match background
            .enqueue(Note::new(format!("{name} {number}")))
            .await
        {
            Ok(id) => stored.push(id),
            Err(_) => {
                refused += 1;
                // As a client that asks again.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        let took = begun.elapsed();
        assert!(took < STORE_TIMEOUT * 3, "storing a task took {took:?}");
    }
    (stored, refused)
}

/// How long a task takes to begin that another process has stored.
async fn begin_after(lab: &Lab, creator: &Background, task: impl bg_runtime::IntoTask) -> Duration {
    let before = lab.timeline.names().len();
    creator.enqueue(task).await.unwrap();
    let begun = Instant::now();
    tests::eventually("the task begins", || lab.timeline.names().len() > before).await;
    begun.elapsed()
}

/// Lets the outage happen while tasks are stored and run, and shows that each that was stored has run.
async fn survives(place: &Place, name: &'static str, outage: impl AsyncFnOnce()) {
    let lab = Lab::new();
    let [creator, worker] = [(); 2].map(|()| background(&lab, place));
    worker.start().await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let storing = tokio::spawn(store_until(creator.clone(), name, stopped));
    lab.timeline.reached(&format!("{name} 20")).await;
    outage().await;
    // Whoever stores and whoever works finds it again.
    let before = lab.timeline.names().len();
    tests::eventually("tasks run again", || {
        lab.timeline.names().len() > before + 20
    })
    .await;
    stop.send_replace(true);
    let (stored, refused) = within("the last task", storing).await.unwrap();
    let ended = stream::iter(&stored).for_each_concurrent(20, async |id| {
        let outcome = within("the end of a task", creator.stored().get(*id).outcome()).await;
        outcome.unwrap_or_else(|failure| panic!("{id}: {failure}"));
    });
    ended.await;
    let completed = creator.stored().state(StoredState::Completed);
    let counts = completed.counts().await.unwrap();
    assert!(counts[0].1 >= stored.len() as u64, "{counts:?}");
    within("the shutdown", worker.shutdown()).await;
    let runs = lab.timeline.names().len();
    println!(
        "{name}: stored={} refused={refused} lost=0 runs={runs}",
        stored.len()
    );
}

async fn a_restart_in_the_middle<S: DatabaseServer>(how: &'static str, name: &'static str) {
    let Some(server) = S::own() else {
        return;
    };
    let place = server.place(name);
    survives(&place, name, async move || {
        let server = tokio::task::spawn_blocking(move || {
            let mut server = server;
            for _ in 0..2 {
                server.stop(how);
                server.run();
            }
            server
        });
        // Kept until the process ends, because the test goes on with it.
        Box::leak(Box::new(server.await.unwrap()));
    })
    .await;
}

/// The server that is shared, and a link to it.
async fn linked<S: DatabaseServer>() -> Option<(&'static S, FaultyLink)> {
    let server = S::shared()?;
    Some((server, FaultyLink::to(server.port()).await))
}

async fn a_fault_in_the_middle<S: DatabaseServer>(name: &'static str, faults: &[Fault]) {
    let Some((_, link)) = linked::<S>().await else {
        return;
    };
    survives(&S::place_behind(link.port(), name), name, async || {
        for fault in faults {
            link.set(*fault);
            tokio::time::sleep(Duration::from_millis(1500)).await;
            link.set(Fault::None);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
}

/// Makes a test for each kind of server of every function in it.
macro_rules! on_each_server {
    ($(
        $(#[doc = $doc:literal])*
        #[test]
        async fn $test:ident<S: DatabaseServer>() $body:block
    )+) => {
        $(async fn $test<S: DatabaseServer>() $body)+

        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<tests::durable::PostgresServer>().await;
            })+
        }

        #[cfg(feature = "redis")]
        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<tests::durable::RedisServer>().await;
            })+
        }
    };
}

on_each_server! {
    /// P-DURABLE-10
    #[test]
    async fn a_fast_restart_of_the_server_loses_no_task<S: DatabaseServer>() {
        a_restart_in_the_middle::<S>(S::IN_ORDER, "fast").await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_crash_of_the_server_loses_no_task<S: DatabaseServer>() {
        a_restart_in_the_middle::<S>(S::CRASH, "crash").await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_network_that_resets_connections_loses_no_task<S: DatabaseServer>() {
        a_fault_in_the_middle::<S>("reset", &[Fault::Reset, Fault::Reset]).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_network_that_falls_silent_loses_no_task_and_hangs_nobody<S: DatabaseServer>() {
        a_fault_in_the_middle::<S>("silence", &[Fault::Silence]).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_network_that_is_slow_loses_no_task<S: DatabaseServer>() {
        a_fault_in_the_middle::<S>("slow", &[Fault::Delay(Duration::from_millis(200))]).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_network_that_cuts_messages_loses_no_task<S: DatabaseServer>() {
        a_fault_in_the_middle::<S>("cut", &[Fault::CutAfter(100), Fault::CutAfter(3000)]).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn connections_that_are_all_lost_without_a_word_lose_no_task<S: DatabaseServer>() {
        let Some((_, link)) = linked::<S>().await else {
            return;
        };
        let place = S::place_behind(link.port(), "abandoned");
        survives(&place, "abandoned", async || link.abandon()).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn connections_that_die_without_a_word_are_given_up<S: DatabaseServer>() {
        let Some((_, link)) = linked::<S>().await else {
            return;
        };
        let place = S::place_behind(link.port(), "dead_flows");
        let background = background(&Lab::new(), &place);
        // More at once than there are connections.
        let store = || (0..8).map(|number| background.enqueue(Note::new(format!("{number}"))));
        for stored in join_all(store()).await {
            stored.unwrap();
        }
        link.abandon();
        // Those in use are waited for until storing has taken too long.
        join_all(store()).await;
        let again = async {
            while background.enqueue(Note::new("again")).await.is_err() {
                // As a client that asks again.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        within("tasks are stored again", again).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_worker_whose_claim_is_never_answered_takes_tasks_again<S: DatabaseServer>() {
        let Some((server, link)) = linked::<S>().await else {
            return;
        };
        let lab = Lab::new();
        let [creator, place] = [server.port(), link.port()].map(|port| S::place_behind(port, "unanswered"));
        let creator = background(&lab, &creator);
        let store = place.store().lease(Duration::from_secs(60));
        let store = store.secret_keys([SecretKey::new(KEY)]).concurrency(2);
        let worker = Background::builder().state(lab.clone()).durable(store);
        let worker = worker.build().expect("nothing to refuse");
        worker.start().await.unwrap();
        let long = creator.enqueue(Hold::new("long")).await.unwrap();
        lab.timeline.reached("long 1").await;
        link.set(Fault::DieAt(S::CLAIM));
        within("a claim", link.died()).await;
        link.set(Fault::None);
        let mut numbers = Vec::new();
        for number in [1, 2] {
            numbers.push(creator.enqueue(Number::new(number)).await.unwrap());
        }
        let begun = || {
            let names = lab.timeline.names();
            names
                .iter()
                .filter(|name| name.starts_with("number"))
                .count()
        };
        let claimed = async {
            for id in &numbers {
                let task = creator.stored().get(*id);
                while task.status().await.unwrap().unwrap().state != StoredState::Running {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        };
        within("both are claimed", claimed).await;
        // No more than two run at once, whichever client has claimed them.
        assert!(begun() <= 1, "{:?}", lab.timeline);
        // Those that run are let through in the order in which they came to the gate.
        lab.gate.add_permits(3);
        for id in numbers.into_iter().chain([long]) {
            let outcome = within("the end", creator.stored().get(id).outcome()).await;
            outcome.unwrap();
        }
        within("the shutdown", worker.shutdown()).await;
    }

    /// P-DURABLE-46
    #[test]
    async fn an_order_whose_answer_is_lost_is_not_said_to_be_too_late<S: DatabaseServer>() {
        let Some((_, link)) = linked::<S>().await else {
            return;
        };
        let place = S::place_behind(link.port(), "lost_answers");
        let background = background(&Lab::new(), &place);
        let id = background.enqueue(Note::new("waits")).await.unwrap();
        let task = background.stored().get(id);
        link.set(Fault::CutAt(S::CANCELLED));
        let cancelled = task.cancel().await;
        link.set(Fault::None);
        assert!(cancelled.is_err(), "{cancelled:?}");
        let state = task.status().await.unwrap().unwrap().state;
        assert_eq!(state, StoredState::Cancelled);
        link.set(Fault::CutAt(S::DELETED));
        let deleted = background.stored().delete_all().await;
        link.set(Fault::None);
        assert!(deleted.is_err(), "{deleted:?}");
        assert!(task.status().await.unwrap().is_none());
    }

    /// P-DURABLE-7
    #[test]
    async fn a_task_that_was_due_before_it_is_stored_wakes_a_worker<S: DatabaseServer>() {
        let Some(server) = S::shared() else {
            return;
        };
        let (lab, place) = (Lab::new(), server.place("due_before"));
        let [creator, worker] = [(); 2].map(|()| background(&lab, &place));
        worker.start().await.unwrap();
        let mut took = Duration::ZERO;
        for _ in 0..10 {
            let due = std::time::SystemTime::now() - Duration::from_secs(5);
            took += begin_after(&lab, &creator, Note::new("late").at(due)).await;
        }
        // Each would wait for the next poll, which is a second after the last.
        assert!(took < Duration::from_secs(4), "{took:?}");
        within("the shutdown", worker.shutdown()).await;
    }

    /// P-DURABLE-10
    #[test]
    async fn a_runtime_that_nobody_drives_keeps_no_bell_from_ringing<S: DatabaseServer>() {
        let Some(server) = S::shared() else {
            return;
        };
        let place = server.place("bell");
        let rings = tokio::task::spawn_blocking(move || the_bell_rings(&place));
        rings.await.unwrap();
    }
}

fn the_bell_rings(place: &Place) {
    // The connections are of the first one, and it alone serves them.
    let own = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let other = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let lab = Lab::new();
    let [creator, worker] = [(); 2].map(|()| background(&lab, place));
    own.block_on(async {
        // Its worker would look at once.
        worker.start().await.unwrap();
        creator.enqueue(Note::new("connects")).await.unwrap();
        lab.timeline.reached("connects").await;
    });
    other
        .block_on(creator.enqueue(Note::new("silenced")))
        .unwrap();
    own.block_on(async {
        lab.timeline.reached("silenced").await;
        let mut soon = 0;
        let begun = Instant::now();
        // Without the bell, a task waits for the next poll, which is a second after the last.
        while soon < 3 {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "the bell is silent"
            );
            let took = begin_after(&lab, &creator, Note::new("soon")).await;
            soon = if took < Duration::from_millis(400) {
                soon + 1
            } else {
                0
            };
        }
        within("the shutdown", worker.shutdown()).await;
    });
}
