//! What is Redis's alone; all else is asked of every engine, in `engine/tests`. Where `BG_TEST_REDIS` has no URL, nothing is.

use std::time::Instant;

use tokio::time::timeout;

use super::Engine;
use crate::durable::engine::tests::*;
use crate::durable::query::{Obeyed, Order, Query};
use crate::durable::{Stored, StoredState, Verdict};
use crate::task::TaskId;
use std::sync::Arc;
use std::time::Duration;

/// Waits until Redis answers so.
async fn until_asked(lab: &Lab, command: &[&str], expected: i64) {
    let answered = timeout(PATIENCE, async {
        while lab.ask::<i64>(command).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if answered.await.is_err() {
        panic!("{command:?} is {}", lab.ask::<i64>(command).await);
    }
}

async fn count(engine: &Arc<dyn Engine>, state: StoredState) -> u64 {
    let counts = engine.counts(Query::default()).await.unwrap();
    let count = counts.iter().find(|(of, _)| *of == state);
    count.map_or(0, |(_, count)| *count)
}

async fn until_count(engine: &Arc<dyn Engine>, state: StoredState, expected: u64) {
    let counted = timeout(PATIENCE, async {
        while count(engine, state).await != expected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    if counted.await.is_err() {
        panic!("{state}: {}", count(engine, state).await);
    }
}

/// Returns how often a worker has claimed a task.
async fn claims(lab: &Lab, id: TaskId) -> usize {
    type Entries = Vec<(String, Vec<String>)>;
    let events: Entries = lab.ask(&["XRANGE", "{}default:events", "-", "+"]).await;
    let id = id.to_string();
    let of = |word: &str, fields: &[String]| fields.iter().any(|field| field == word);
    let claims = events.iter();
    let claims = claims.filter(|(_, fields)| of("active", fields) && of(&id, fields));
    claims.count()
}

/// P-DURABLE-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_task_is_not_met_again_by_who_does_not_know_it() {
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    let unknown = store_one(&engine, &task("new")).await;
    until_asked(&lab, &["ZCARD", "{}default:#parked:new"], 1).await;
    for _ in 0..20 {
        store_one(&engine, &task("mail")).await;
        let id = crew.take().await.end(Verdict::Completed).id;
        until(&engine, id, StoredState::Completed).await;
    }
    assert_eq!(claims(&lab, unknown).await, 1);
    let waiting = status(&engine, unknown).await.unwrap();
    assert_eq!((waiting.state, waiting.attempt), (StoredState::Waiting, 0));
    let counts = engine.counts(Query::default()).await.unwrap();
    assert_eq!(
        counts,
        [(StoredState::Waiting, 1), (StoredState::Completed, 20)]
    );
    let other = lab.engine();
    let begun = Instant::now();
    let mut new = Crew::start(&other, &["new"]);
    let claimed = new.take().await.end(Verdict::Completed);
    assert_eq!((claimed.id, claimed.attempt), (unknown, 1));
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    // While both work, it is on its way at once.
    let begun = Instant::now();
    let id = store_one(&engine, &task("new")).await;
    assert_eq!(new.take().await.end(Verdict::Completed).id, id);
    assert!(
        begun.elapsed() < Duration::from_millis(500),
        "{:?}",
        begun.elapsed()
    );
    // A cancelled one is parked no more.
    let id = store_one(&engine, &task("nobody's")).await;
    until_asked(&lab, &["ZCARD", "{}default:#parked:nobody's"], 1).await;
    assert_eq!(engine.order(id, Order::Cancel).await.unwrap(), Obeyed::Done);
    until_asked(&lab, &["ZCARD", "{}default:#parked:nobody's"], 0).await;
    crew.stop().await;
    new.stop().await;
    lab.clear().await;
}

/// Two workers of one queue, each of which knows what the other does not.
///
/// P-DURABLE-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_know_different_names_share_a_queue() {
    const TASKS: usize = 300;
    let Some(lab) = Lab::keys() else { return };
    let engines = [lab.engine(), lab.engine()];
    let names = ["a", "b"];
    let tasks: Vec<_> = (0..2 * TASKS).map(|at| task(names[at / TASKS])).collect();
    for some in tasks.chunks(100) {
        store(&engines[0], some).await;
    }
    let crews = [0, 1].map(|at| Crew::of(&engines[at], &names[at..=at], &[("default", 5)]));
    let worked = crews.map(|mut crew| async move {
        for _ in 0..TASKS {
            crew.take().await.end(Verdict::Completed);
        }
        crew
    });
    let crews = futures_util::future::join_all(worked).await;
    until_count(&engines[0], StoredState::Completed, 2 * TASKS as u64).await;
    for crew in crews {
        crew.stop().await;
    }
    lab.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_whose_key_was_deleted_harms_no_other() {
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine();
    let tasks = [task("mail"), task("mail"), task("mail"), task("mail")];
    store(&engine, &tasks).await;
    let key = |task: &Stored| format!("{{}}default:{}", task.id);
    let _: u64 = lab.ask(&["DEL", &key(&tasks[1])]).await;
    let mut crew = Crew::of(&engine, &["mail"], &[("default", 1)]);
    assert_eq!(crew.take().await.end(Verdict::Completed).id, tasks[0].id);
    // Deleted while it runs.
    let taken = crew.take().await;
    assert_eq!(taken.claimed.id, tasks[2].id);
    let _: u64 = lab.ask(&["DEL", &key(&tasks[2])]).await;
    taken.end(failed("no", None));
    assert_eq!(crew.take().await.end(Verdict::Completed).id, tasks[3].id);
    until(&engine, tasks[3].id, StoredState::Completed).await;
    crew.stop().await;
    for gone in &tasks[1..=2] {
        assert!(status(&engine, gone.id).await.is_none());
        assert_eq!(lab.ask::<i64>(&["EXISTS", &key(gone)]).await, 0);
    }
    assert_eq!(
        engine
            .list(Query::default(), None, 10)
            .await
            .unwrap()
            .tasks
            .len(),
        2
    );
    let counts = engine.counts(Query::default()).await.unwrap();
    assert_eq!(counts, [(StoredState::Completed, 2)]);
    lab.clear().await;
}

/// P-DURABLE-23
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_waiting_tasks_are_cancelled_in_seconds() {
    const TASKS: u64 = 20_000;
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine();
    let mut left = Vec::new();
    for _ in 0..TASKS / 500 {
        let some: Vec<_> = (0..500).map(|at| task(["mail", "other"][at % 2])).collect();
        store(&engine, &some).await;
        left.extend(some.iter().map(|task| (task.name, task.id)));
    }
    let mut expects_left = true;
    // Every second of them, and then all that are left.
    for (name, expected) in [(Some("mail".to_owned()), TASKS / 2), (None, TASKS / 2)] {
        let begun = Instant::now();
        let query = Query {
            name,
            ..Query::default()
        };
        let obeyed = engine.order_all(query, Order::Cancel).await.unwrap();
        assert_eq!(obeyed, expected);
        // Those that stay are in their order.
        left.retain(|(of, _)| *of == "other" && expects_left);
        expects_left = false;
        let waiting: Vec<String> = lab.ask(&["LRANGE", "{}default:wait", "0", "-1"]).await;
        let ids = left.iter().rev().map(|(_, id)| id.to_string());
        assert!(waiting.iter().cloned().eq(ids), "{}", waiting.len());
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    }
    let counts = engine.counts(Query::default()).await.unwrap();
    assert_eq!(counts, [(StoredState::Cancelled, TASKS)]);
    lab.clear().await;
}

/// What has ended is forgotten by when it has, and each state by its own time.
///
/// P-DURABLE-23
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_and_cancelled_tasks_are_each_kept_for_their_own_time() {
    const HOUR: Duration = Duration::from_secs(3600);
    const SHORT: Duration = Duration::from_millis(1);
    for (completed, dead, left) in [
        (SHORT, HOUR, StoredState::Dead),
        (HOUR, SHORT, StoredState::Cancelled),
    ] {
        let Some(lab) = Lab::keys() else { return };
        let long = lab.engine();
        let mut crew = Crew::start(&long, &["mail"]);
        let dying = store_one(&long, &task("mail")).await;
        crew.take().await.end(failed("no", None));
        until(&long, dying, StoredState::Dead).await;
        let again = store_one(&long, &task("mail")).await;
        crew.take().await.end(Verdict::Completed);
        until(&long, again, StoredState::Completed).await;
        crew.stop().await;
        let cancelled = store_one(&long, &task("mail")).await;
        long.order(cancelled, Order::Cancel).await.unwrap();
        // Another client has one of them run again, which knows nothing of what is ours.
        let revived = store_one(&long, &task("other")).await;
        long.order(revived, Order::Cancel).await.unwrap();
        let id = revived.to_string();
        let _: i64 = lab.ask(&["ZREM", "{}default:failed", &id]).await;
        let _: i64 = lab
            .ask(&["HDEL", &format!("{{}}default:{id}"), "finishedOn"])
            .await;
        let _: i64 = lab.ask(&["LPUSH", "{}default:wait", &id]).await;
        let short = lab.engine_with(|store| store.keep_completed(completed).keep_dead(dead));
        let crew = Crew::of(&short, &["mail"], &[("elsewhere", 1)]);
        let gone = match left {
            StoredState::Dead => [cancelled, again],
            _ => [dying, dying],
        };
        for gone in gone {
            let forgotten = timeout(PATIENCE, async {
                while status(&short, gone).await.is_some() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            forgotten.await.expect("it is forgotten");
        }
        let kept = match left {
            StoredState::Dead => dying,
            _ => cancelled,
        };
        assert_eq!(status(&short, kept).await.unwrap().state, left);
        let revived = status(&short, revived).await.unwrap();
        assert_eq!(revived.state, StoredState::Waiting);
        until_count(&short, left, 1).await;
        let completed_left = u64::from(left == StoredState::Cancelled);
        assert_eq!(count(&short, StoredState::Completed).await, completed_left);
        crew.stop().await;
        lab.clear().await;
    }
}

/// Redis is memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_completed_tasks_of_a_queue_are_kept() {
    const KEPT: u64 = 10_000;
    const MORE: u64 = 700;
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine();
    let mut ids = Vec::new();
    for _ in 0..(KEPT + MORE) / 100 {
        let some: Vec<_> = (0..100).map(|_| task("mail")).collect();
        store(&engine, &some).await;
        ids.extend(some.iter().map(|task| task.id));
    }
    // As if all had run, in the order in which they were stored.
    let end = "local at = redis.call('TIME')[1] * 1000
        for place, id in ipairs(redis.call('LRANGE', KEYS[1] .. 'wait', 0, -1)) do
            redis.call('ZADD', KEYS[1] .. 'completed', at - place, id)
            redis.call('HSET', KEYS[1] .. id, 'finishedOn', at - place)
        end
        return redis.call('DEL', KEYS[1] .. 'wait')";
    let _: i64 = lab.ask(&["EVAL", end, "1", "{}default:"]).await;
    assert_eq!(count(&engine, StoredState::Completed).await, KEPT + MORE);
    let crew = Crew::of(&engine, &["mail"], &[("elsewhere", 1)]);
    until_count(&engine, StoredState::Completed, KEPT).await;
    crew.stop().await;
    let (gone, kept) = ids.split_at(MORE as usize);
    for id in [gone[0], gone[MORE as usize - 1]] {
        assert!(status(&engine, id).await.is_none());
    }
    for id in [kept[0], kept[KEPT as usize - 1]] {
        assert!(status(&engine, id).await.is_some());
    }
    until_asked(&lab, &["ZCARD", "{}#rows"], KEPT.cast_signed()).await;
    lab.clear().await;
}

/// Its id is none of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_client_has_stored_obeys_as_others_do() {
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine();
    let mut crew = Crew::start(&engine, &["mail"]);
    lab.another_client_stores("mail", r#"{"a":1}"#, 2).await;
    let taken = crew.take().await;
    let id = taken.claimed.id;
    assert_eq!(
        (taken.claimed.runs, taken.claimed.arguments.get()),
        (2, r#"{"a":1}"#)
    );
    assert_eq!(engine.order(id, Order::Cancel).await.unwrap(), Obeyed::Told);
    let told = taken.claimed.stop.cancelled.clone();
    let told = timeout(PATIENCE, told.cancelled()).await;
    told.expect("it is told");
    taken.end(failed("no", None));
    until(&engine, id, StoredState::Cancelled).await;
    assert_eq!(engine.order(id, Order::Retry).await.unwrap(), Obeyed::Done);
    let taken = crew.take().await;
    assert_eq!((taken.claimed.id, taken.claimed.attempt), (id, 2));
    taken.end(failed("no", None));
    until(&engine, id, StoredState::Dead).await;
    let dead = engine
        .claim_dead(10, Duration::from_secs(60))
        .await
        .unwrap();
    let dead: Vec<_> = dead.iter().map(|task| task.id).collect();
    assert_eq!(dead, [id]);
    engine.note_told(dead).await.unwrap();
    assert_eq!(lab.ask::<i64>(&["ZCARD", "{}default:#untold"]).await, 0);
    assert_eq!(engine.order(id, Order::Delete).await.unwrap(), Obeyed::Done);
    assert!(status(&engine, id).await.is_none());
    assert_eq!(lab.ask::<i64>(&["EXISTS", "{}#others"]).await, 0);
    crew.stop().await;
    lab.clear().await;
}

/// What is kept of a task that has gone would fill Redis in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_tasks_that_are_gone() {
    let Some(lab) = Lab::keys() else { return };
    let engine = lab.engine_with(|store| store.keep_completed(Duration::from_millis(1)));
    let mut crew = Crew::start(&engine, &["mail"]);
    let stored = |at: u32| Stored {
        runs: 2,
        priority: u8::try_from(at % 3 + 1).unwrap_or(1),
        unique: unique(&at.to_string(), 1),
        key: Some(at.to_string()),
        ..task("mail")
    };
    let tasks: Vec<_> = (0..30).map(stored).collect();
    store(&engine, &tasks).await;
    for _ in 0..30 {
        crew.take()
            .await
            .end(failed("no", Some(Duration::from_millis(5))));
    }
    for _ in 0..30 {
        crew.take().await.end(Verdict::Completed);
    }
    let forgotten = timeout(PATIENCE, async {
        loop {
            let counts = engine.counts(Query::default()).await.unwrap();
            let retrying: i64 = lab.ask(&["EXISTS", "{}default:#retrying"]).await;
            if counts.is_empty() && retrying == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    forgotten.await.expect("they are forgotten");
    crew.stop().await;
    let mut left = lab.keys_like("*").await;
    left.sort_unstable();
    let left = left.iter().filter_map(|key| Some(key.split_once(':')?.1));
    let known = [
        "#queues",
        "#rescue",
        "#row",
        "default:events",
        "default:id",
        "default:marker",
        "default:meta",
        "default:pc",
    ];
    let left: Vec<_> = left.filter(|key| !known.contains(key)).collect();
    assert!(left.is_empty(), "{left:?}");
    lab.clear().await;
}

/// As after a Redis that was away for a lease, or that has dropped a lock: nobody else has the task.
///
/// P-DURABLE-12
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_back_first_keeps_what_it_runs() {
    let Some(lab) = Lab::keys() else { return };
    // Looks for what is lost each second, as it beats.
    let engine = lab.engine_with(|store| store.lease(Duration::from_secs(3)));
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    // Nobody looks meanwhile.
    const HOLD: &str = "local t = redis.call('TIME')
        redis.call('SET', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000))
        if ARGV[1] == 'lose' then redis.call('DEL', KEYS[2]) end
        return redis.call('EXISTS', KEYS[2])";
    let lock = format!("{{}}default:{id}:lock");
    let ask = |what| ["EVAL", HOLD, "2", "{}#rescue", &lock, what];
    assert_eq!(lab.ask::<i64>(&ask("lose")).await, 0);
    until_asked(&lab, &ask("look"), 1).await;
    assert!(!taken.claimed.stop.lost.is_cancelled());
    taken.end(Verdict::Completed);
    let ended = until(&engine, id, StoredState::Completed).await;
    assert_eq!((ended.attempt, ended.errors.len()), (1, 0));
    crew.stop().await;
    lab.clear().await;
}
