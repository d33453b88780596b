//! Workers that die, stall, and come back.

use super::*;

on_each_store!(
    a_task_whose_worker_has_died_runs_again,
    the_success_of_a_zombie_is_refused,
    the_failure_of_a_zombie_is_refused,
    the_death_that_a_zombie_says_is_refused,
    what_a_zombie_gives_back_is_refused,
    a_worker_whose_claim_is_gone_is_told,
    a_rescued_task_of_the_same_process_joins_its_run,
    a_stuck_task_that_the_leader_does_not_know_waits_again,
    a_worker_with_blocked_threads_keeps_what_it_runs,
    a_task_that_loses_its_worker_too_often_is_dead,
);

pub(in crate::durable::engine) const SECOND: Duration = Duration::from_secs(1);

/// A worker that runs nothing, and looks for those that are lost: River's leader, which takes a second of silence for
/// death.
pub(in crate::durable::engine) async fn leader(
    lab: &Lab,
    names: &[&'static str],
    fence: bool,
) -> Crew {
    let engine = lab.engine_with(|store| store.lease(SECOND).fence(fence));
    engine.start().await.unwrap();
    let crew = Crew::of(&engine, names, &[("leads", 1)]);
    // Nobody else works yet.
    let elected = timeout(PATIENCE, lab.has_leader()).await;
    elected.expect("it leads");
    crew
}

/// A worker that is silent for twenty seconds at a time, and so a zombie to the leader.
pub(in crate::durable::engine) fn sleepy(lab: &Lab, fence: bool) -> Arc<dyn Engine> {
    lab.engine_with(|store| store.lease(SECOND * 60).fence(fence))
}

/// P-DURABLE-11
async fn a_task_whose_worker_has_died_runs_again(lab: &Lab) {
    let engine = lab.engine_with(|store| store.lease(SECOND));
    let led = leader(lab, &["mail"], true).await;
    let dying = lab.engine_with(|store| store.lease(SECOND));
    let id = {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (give, given) = oneshot::channel();
        let stored = task("mail");
        let of = dying.clone();
        runtime.spawn(async move {
            let mut crew = Crew::start(&of, &["mail"]);
            store_one(&of, &stored).await;
            let taken = crew.take().await;
            let _ = give.send(taken.claimed.id);
            std::future::pending::<()>().await;
            drop((taken.verdict, crew));
        });
        let id = given.await.unwrap();
        runtime.shutdown_background();
        id
    };
    drop(dying);
    let mut crew = Crew::start(&engine, &["mail"]);
    let claimed = crew.take().await.end(Verdict::Completed);
    assert_eq!((claimed.id, claimed.attempt), (id, 2));
    assert_eq!((claimed.failures, claimed.losses), (0, 1));
    let ended = until(&engine, id, StoredState::Completed).await;
    assert_eq!(ended.errors[0].kind, FailureKind::Lost);
    crew.stop().await;
    led.stop().await;
}

/// Has a worker stall with a task, and another one run it meanwhile; returns whether the other one still does after
/// the first has said its verdict.
pub(in crate::durable::engine) async fn stalls(lab: &Lab, verdict: Verdict, fence: bool) -> bool {
    let led = leader(lab, &["mail"], fence).await;
    let slow = sleepy(lab, fence);
    let mut zombie = Crew::of(&slow, &["mail"], &[("default", 1)]);
    let stored = Stored {
        runs: 5,
        ..task("mail")
    };
    let id = store_one(&slow, &stored).await;
    let late = zombie.take().await;
    lab.silence(id).await;
    let quick = sleepy(lab, fence);
    let mut living = Crew::of(&quick, &["mail"], &[("default", 1)]);
    let taken = living.take().await;
    assert_eq!((taken.claimed.id, taken.claimed.attempt), (id, 2));
    // Nothing rescues the second one.
    led.stop().await;
    late.end(verdict);
    zombie.stop().await;
    let now = status(&quick, id).await.unwrap();
    let is_kept = now.state == StoredState::Running && now.attempt == 2;
    taken.end(Verdict::Completed);
    until(&quick, id, StoredState::Completed).await;
    living.stop().await;
    is_kept
}

/// P-DURABLE-12
async fn the_success_of_a_zombie_is_refused(lab: &Lab) {
    assert!(stalls(lab, Verdict::Completed, true).await);
}

/// P-DURABLE-12
async fn the_failure_of_a_zombie_is_refused(lab: &Lab) {
    assert!(stalls(lab, failed("late", Some(Duration::ZERO)), true).await);
}

/// P-DURABLE-12
async fn the_death_that_a_zombie_says_is_refused(lab: &Lab) {
    assert!(stalls(lab, failed("late", None), true).await);
}

/// P-DURABLE-12
async fn what_a_zombie_gives_back_is_refused(lab: &Lab) {
    let wait = Duration::ZERO;
    assert!(stalls(lab, Verdict::Returned { wait }, true).await);
}

/// P-DURABLE-12
async fn a_worker_whose_claim_is_gone_is_told(lab: &Lab) {
    let led = leader(lab, &["mail"], true).await;
    // Beats each two seconds, which is too late once.
    let slow = lab.engine_with(|store| store.lease(SECOND * 6));
    let mut zombie = Crew::of(&slow, &["mail"], &[("default", 1)]);
    let id = store_one(&slow, &task("mail")).await;
    let late = zombie.take().await;
    lab.silence(id).await;
    let quick = sleepy(lab, true);
    let mut living = Crew::start(&quick, &["mail"]);
    let taken = living.take().await;
    let lost = late.claimed.stop.lost.clone();
    timeout(PATIENCE, lost.cancelled())
        .await
        .expect("it is told");
    assert!(!late.claimed.stop.cancelled.is_cancelled());
    led.stop().await;
    late.end(Verdict::Completed);
    zombie.stop().await;
    assert_eq!(taken.end(Verdict::Completed).id, id);
    until(&quick, id, StoredState::Completed).await;
    living.stop().await;
}

/// P-DURABLE-13
async fn a_rescued_task_of_the_same_process_joins_its_run(lab: &Lab) {
    let led = leader(lab, &["mail"], true).await;
    let engine = sleepy(lab, true);
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    lab.silence(id).await;
    let again = timeout(PATIENCE, async {
        while status(&engine, id).await.unwrap().attempt < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    again.await.expect("it is claimed again");
    led.stop().await;
    taken.end(Verdict::Completed);
    until(&engine, id, StoredState::Completed).await;
    assert!(!crew.has_taken());
    crew.stop().await;
}

/// P-DURABLE-14
async fn a_stuck_task_that_the_leader_does_not_know_waits_again(lab: &Lab) {
    let led = leader(lab, &["older"], true).await;
    let slow = sleepy(lab, true);
    let mut zombie = Crew::of(&slow, &["mail"], &[("default", 1)]);
    let id = store_one(&slow, &task("mail")).await;
    let late = zombie.take().await;
    lab.silence(id).await;
    let waiting = until(&slow, id, StoredState::Waiting).await;
    assert_eq!(waiting.errors[0].kind, FailureKind::Lost);
    let quick = sleepy(lab, true);
    let mut living = Crew::start(&quick, &["mail"]);
    assert_eq!(living.take().await.end(Verdict::Completed).losses, 1);
    until(&quick, id, StoredState::Completed).await;
    late.end(Verdict::Completed);
    for crew in [zombie, living, led] {
        crew.stop().await;
    }
}

/// P-DURABLE-13
async fn a_worker_with_blocked_threads_keeps_what_it_runs(lab: &Lab) {
    let led = leader(lab, &["mail"], true).await;
    let blocking = lab.engine_with(|store| store.lease(SECOND));
    blocking.start().await.unwrap();
    let stored = task("mail");
    let id = store_one(&blocking, &stored).await;
    drop(blocking);
    let of = lab.engine_with(|store| store.lease(SECOND));
    let (tell, told) = oneshot::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async move {
            let tell = Mutex::new(Some(tell));
            let stop = CancellationToken::new();
            let ended = stop.clone();
            let desk = Desk::new(&["mail"], vec![("default".to_owned(), 1)], move |_| {
                let _ = tell.lock().take().unwrap().send(());
                // The only thread of this runtime, for three leases.
                std::thread::sleep(SECOND * 3);
                ended.cancel();
                std::future::ready(Verdict::Completed).boxed()
            });
            of.work(Arc::new(desk), stop).await.unwrap();
        });
    });
    told.await.unwrap();
    let other = lab.engine_with(|store| store.lease(SECOND));
    let mut crew = Crew::start(&other, &["mail"]);
    let ended = until(&other, id, StoredState::Completed).await;
    assert_eq!((ended.attempt, ended.errors.len()), (1, 0));
    assert!(!crew.has_taken());
    thread.join().unwrap();
    crew.stop().await;
    led.stop().await;
}

/// P-DURABLE-11
async fn a_task_that_loses_its_worker_too_often_is_dead(lab: &Lab) {
    let led = leader(lab, &["mail"], true).await;
    let engine = sleepy(lab, true);
    // So many attempts of one process wait for the same run, which never ends.
    let mut crew = Crew::start(&engine, &["mail"]);
    let id = store_one(&engine, &task("mail")).await;
    let taken = crew.take().await;
    let dead = timeout(PATIENCE, async {
        loop {
            let seen = status(&engine, id).await.unwrap();
            if seen.state == StoredState::Dead {
                return seen;
            }
            lab.silence(id).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let dead = dead.await.expect("it is dead in the end");
    assert_eq!((dead.attempt, dead.errors.len()), (6, 6));
    let kinds = dead.errors.iter().map(|error| error.kind);
    assert!(kinds.into_iter().all(|kind| kind == FailureKind::Lost));
    taken.end(Verdict::Completed);
    crew.stop().await;
    led.stop().await;
    let now = status(&engine, id).await.unwrap();
    assert_eq!(now.state, StoredState::Dead);
}
