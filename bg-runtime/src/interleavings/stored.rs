//! Runs of stored tasks: what the books say, what the store is told, and what whoever cancels is told, agree.
//!
//! The clock stands still: no lease is over, and no wait for time ends.

use std::cell::Cell;

use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::*;
use crate::durable::{Memory, Obeyed, Order, Query, Store, StoredState};
use crate::run::{Serving, ShutdownReport};
use crate::task::{DurableDef, TaskId};

thread_local! {
    /// How many runs have begun and ended in this order of events. All of its threads are one to the system.
    static RUNS: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

fn begun() -> usize {
    RUNS.get().0
}

fn ended() -> usize {
    RUNS.get().1
}

/// A task that takes a moment.
#[derive(Serialize, Deserialize)]
struct Errand {
    fails: bool,
}

impl Task for Errand {
    const DEF: &'static TaskDef = &TaskDef::new("interleavings.errand")
        .retries(1)
        .durable(DurableDef::serde::<Self>());

    async fn run(self, cx: TaskContext) -> TaskResult {
        RUNS.set((begun() + 1, ended()));
        cx.progress(0, 1, "begun");
        future::yield_now().await;
        RUNS.set((begun(), ended() + 1));
        if self.fails {
            return Err("no luck".into());
        }
        Ok(())
    }
}

crate::register!(Errand);

fn check_stored(scenario: fn(fails: bool)) {
    // Asked for the time, and never driven.
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    for fails in [false, true] {
        check_orders(1_500, move || {
            RUNS.set((0, 0));
            scenario(fails);
        });
    }
}

/// A process that works on a store with one task.
struct Process {
    memory: Memory,
    runner: Arc<Runner>,
    serving: Serving,
    id: TaskId,
    working: thread::JoinHandle<()>,
}

impl Process {
    fn start(fails: bool) -> Self {
        let memory = Memory::new();
        let runner = Runner::new(Settings {
            slow_poll_threshold: Duration::MAX,
            drain_timeout: Duration::ZERO,
            store: Some(Arc::new(Store::from(memory.clone()).open())),
            ..Settings::default()
        });
        let serving = future::block_on(runner.begin_serving()).expect("it is not shut down");
        let task = BoxTask::declared(Errand { fails });
        let stored = future::block_on(runner.enqueue(None, vec![task]));
        let id = *stored.unwrap()[0].as_ref().unwrap();
        let work = runner.work_here();
        let working = thread::spawn(move || future::block_on(work));
        Self {
            memory,
            runner,
            serving,
            id,
            working,
        }
    }

    /// Cancels the task on a thread of its own, as another process does.
    fn cancel_beside(&self) -> thread::JoinHandle<Obeyed> {
        let other = Store::from(self.memory.clone()).open();
        let id = self.id;
        thread::spawn(move || {
            let order = other.engine().order(id, Order::Cancel);
            future::block_on(order).unwrap()
        })
    }

    /// Stops, with time for what runs or without. Returns the report, and what the store has of the task then.
    fn stop(self, has_time: bool) -> (ShutdownReport, StoredState) {
        let Self {
            memory,
            runner,
            serving,
            id,
            working,
        } = self;
        if has_time {
            serving.stop(Instant::now());
            future::block_on(runner.idle());
        }
        let report = future::block_on(Runner::end_serving_now(serving));
        let report = report.expect("it is the only server");
        working.join().unwrap();
        let query = Query {
            id: Some(id),
            ..Query::default()
        };
        let store = Store::from(memory).open();
        let found = future::block_on(store.engine().list(query, None, 1)).unwrap();
        let stats = report.stats();
        let over = stats.completed + stats.failed + stats.skipped + stats.aborted + stats.returned;
        assert_eq!((stats.accepted, stats.pending, stats.running), (over, 0, 0));
        assert!(over <= 1, "it is claimed once: {stats}");
        (report, found.tasks[0].state)
    }
}

/// P-DURABLE-45
#[test]
fn what_has_ended_before_the_end_of_a_shutdown_does_not_go_back() {
    check_stored(|fails| {
        let (report, state) = Process::start(fails).stop(true);
        assert_agreed(&report, state);
        match state {
            StoredState::Completed => assert!(!fails && ended() == 1),
            StoredState::Retrying => assert!(fails && ended() == 1),
            // It was claimed when nothing was left to wait for.
            _ => {
                assert_eq!(state, StoredState::Waiting);
                assert_eq!(report.given_back(), report.stats().accepted);
            }
        }
    });
}

/// What the books call an outcome is what the store has. What they call given back may have ended in the very moment,
/// and is not run again then.
fn assert_agreed(report: &ShutdownReport, state: StoredState) {
    let stats = report.stats();
    let expected = match (stats.completed, stats.aborted) {
        (1, _) => StoredState::Completed,
        (_, 1) => StoredState::Cancelled,
        _ if stats.returned > report.given_back() => StoredState::Retrying,
        _ => return,
    };
    assert_eq!(state, expected, "{stats}");
}

/// P-DURABLE-45
#[test]
fn a_shutdown_without_time_gives_back_or_records_and_never_loses() {
    check_stored(|fails| {
        let (report, state) = Process::start(fails).stop(false);
        let stats = report.stats();
        match state {
            StoredState::Completed => assert!(!fails && ended() == 1, "{stats}"),
            StoredState::Retrying => assert!(fails && ended() == 1, "{stats}"),
            _ => assert_eq!(state, StoredState::Waiting, "{stats}"),
        }
        if begun() == 0 {
            assert_eq!(state, StoredState::Waiting);
            assert_eq!(report.given_back(), stats.accepted);
        }
    });
}

/// P-DURABLE-46
#[test]
fn a_cancel_from_another_process_and_the_end_of_a_run_agree() {
    check_stored(|fails| {
        let process = Process::start(fails);
        let cancelling = process.cancel_beside();
        let obeyed = cancelling.join().unwrap();
        let (report, state) = process.stop(true);
        assert_cancelled(fails, obeyed, state);
        // A run that has failed before somebody cancelled the task was to be tried again.
        if obeyed != Obeyed::Done {
            assert_agreed(&report, state);
        }
    });
}

/// P-DURABLE-46
#[test]
fn a_task_that_is_cancelled_does_not_come_back_from_a_shutdown() {
    check_stored(|fails| {
        let process = Process::start(fails);
        let cancelling = process.cancel_beside();
        let obeyed = cancelling.join().unwrap();
        let (_, state) = process.stop(false);
        assert_cancelled(fails, obeyed, state);
    });
}

/// What was cancelled has ended, and has not completed unless its run was told too late.
fn assert_cancelled(fails: bool, obeyed: Obeyed, state: StoredState) {
    match obeyed {
        Obeyed::Done => assert_eq!(state, StoredState::Cancelled),
        Obeyed::Told if state == StoredState::Completed => assert!(!fails && ended() == 1),
        Obeyed::Told => assert_eq!(state, StoredState::Cancelled),
        Obeyed::TooLate => assert!(!fails && state == StoredState::Completed),
        Obeyed::Unknown => panic!("it is stored"),
    }
}

/// P-DURABLE-46
#[test]
fn a_stored_task_that_its_handle_aborts_as_it_ends_has_one_outcome() {
    check_stored(|fails| {
        let process = Process::start(fails);
        let aborting = {
            let (runner, id) = (process.runner.clone(), process.id);
            thread::spawn(move || {
                let mut tries = 0..10;
                while tries.next().is_some() && !runner.abort_stored(id) {
                    thread::yield_now();
                }
            })
        };
        aborting.join().unwrap();
        let (report, state) = process.stop(true);
        assert_agreed(&report, state);
    });
}
