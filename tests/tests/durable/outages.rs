//! A PostgreSQL that goes away, and a network to it that fails: what was stored runs, and nobody hangs.

use std::time::{Duration, Instant};

use bg_runtime::durable::{Postgres, SecretKey, Store, StoredState};
use bg_runtime::{Background, TaskExt, TaskId};
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use tests::durable::{Fault, FaultyLink, PostgresServer};
use tests::within;

use crate::tasks::{Hold, KEY, Lab, Note, Number};

/// How long storing may take in these tests.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);

fn background(lab: &Lab, url: &str, schema: &str) -> Background {
    let store: Store = Postgres::url(url)
        .schema(schema)
        .connections(5)
        .lease(Duration::from_secs(2))
        .store_timeout(STORE_TIMEOUT)
        .secret_keys([SecretKey::new(KEY)]);
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

/// Lets the outage happen while tasks are stored and run, and shows that each that was stored has run.
async fn survives(url: &str, schema: &'static str, outage: impl AsyncFnOnce()) -> (usize, usize) {
    let lab = Lab::new();
    let (creator, worker) = (background(&lab, url, schema), background(&lab, url, schema));
    worker.start().await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let storing = tokio::spawn(store_until(creator.clone(), schema, stopped));
    lab.timeline.reached(&format!("{schema} 20")).await;
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
    (stored.len(), refused)
}

async fn a_restart_in_the_middle(mode: &'static str, schema: &'static str) {
    let Some(server) = PostgresServer::start() else {
        return;
    };
    let url = server.url();
    let (stored, refused) = survives(&url, schema, async move || {
        let server = tokio::task::spawn_blocking(move || {
            let mut server = server;
            for _ in 0..2 {
                server.stop(mode);
                server.run();
            }
            server
        });
        // Kept until the process ends, because the test goes on with it.
        Box::leak(Box::new(server.await.unwrap()));
    })
    .await;
    println!("{mode}: stored={stored} refused={refused} lost=0");
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_restart_of_the_server_loses_no_task() {
    a_restart_in_the_middle("fast", "fast").await;
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_no_task() {
    a_restart_in_the_middle("immediate", "crash").await;
}

async fn a_fault_in_the_middle(schema: &'static str, faults: &[Fault]) {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let link = FaultyLink::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", link.port());
    let (stored, refused) = survives(&url, schema, async || {
        for fault in faults {
            link.set(*fault);
            tokio::time::sleep(Duration::from_millis(1500)).await;
            link.set(Fault::None);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    println!("{faults:?}: stored={stored} refused={refused} lost=0");
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_resets_connections_loses_no_task() {
    a_fault_in_the_middle("reset", &[Fault::Reset, Fault::Reset]).await;
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_falls_silent_loses_no_task_and_hangs_nobody() {
    a_fault_in_the_middle("silence", &[Fault::Silence]).await;
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_is_slow_loses_no_task() {
    a_fault_in_the_middle("slow", &[Fault::Delay(Duration::from_millis(200))]).await;
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_that_cuts_messages_loses_no_task() {
    a_fault_in_the_middle("cut", &[Fault::CutAfter(100), Fault::CutAfter(3000)]).await;
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_all_lost_without_a_word_lose_no_task() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let link = FaultyLink::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", link.port());
    let (stored, refused) = survives(&url, "abandoned", async || link.abandon()).await;
    println!("abandoned: stored={stored} refused={refused} lost=0");
}

/// P-DURABLE-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_without_a_word_are_given_up() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let link = FaultyLink::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", link.port());
    let background = background(&Lab::new(), &url, "dead_flows");
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
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_claim_is_never_answered_takes_tasks_again() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let link = FaultyLink::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", link.port());
    let lab = Lab::new();
    let schema = "unanswered";
    let creator = background(&lab, &server.url(), schema);
    let store = Postgres::url(url)
        .schema(schema)
        .secret_keys([SecretKey::new(KEY)])
        .concurrency(2);
    let worker = Background::builder().state(lab.clone()).durable(store);
    let worker = worker.build().expect("nothing to refuse");
    worker.start().await.unwrap();
    let long = creator.enqueue(Hold::new("long")).await.unwrap();
    lab.timeline.reached("long 1").await;
    // A claim says of which queue it is, and for how many there is room.
    link.set(Fault::DieAt(b"default\0\0\0\x04\0\0\0\x01"));
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
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_whose_answer_is_lost_is_not_said_to_be_too_late() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let link = FaultyLink::to(server.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/postgres", link.port());
    let background = background(&Lab::new(), &url, "lost_answers");
    let id = background.enqueue(Note::new("waits")).await.unwrap();
    let task = background.stored().get(id);
    link.set(Fault::CutAt(b"UPDATE 1\0"));
    let cancelled = task.cancel().await;
    link.set(Fault::None);
    assert!(cancelled.is_err(), "{cancelled:?}");
    let state = task.status().await.unwrap().unwrap().state;
    assert_eq!(state, StoredState::Cancelled);
    link.set(Fault::CutAt(b"DELETE 1\0"));
    let deleted = background.stored().delete_all().await;
    link.set(Fault::None);
    assert!(deleted.is_err(), "{deleted:?}");
    assert!(task.status().await.unwrap().is_none());
}

/// How long a task takes to begin that another process has stored.
async fn begin_after(lab: &Lab, creator: &Background, task: impl bg_runtime::IntoTask) -> Duration {
    let before = lab.timeline.names().len();
    creator.enqueue(task).await.unwrap();
    let begun = Instant::now();
    tests::eventually("the task begins", || lab.timeline.names().len() > before).await;
    begun.elapsed()
}

/// P-DURABLE-10
#[test]
fn a_runtime_that_nobody_drives_keeps_no_bell_from_ringing() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
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
    let [creator, worker] = [(); 2].map(|()| background(&lab, &server.url(), "bell"));
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

/// P-DURABLE-7
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_was_due_before_it_is_stored_wakes_a_worker() {
    let Some(server) = PostgresServer::shared() else {
        return;
    };
    let lab = Lab::new();
    let [creator, worker] = [(); 2].map(|()| background(&lab, &server.url(), "due_before"));
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
