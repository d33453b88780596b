//! What threads do to each other, in thousands of orders that a model checker picks.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p bg-runtime --lib interleavings --target-dir target/shuttle
//! ```
//!
//! The locks are the checker's, and so is the executor; tokio's own primitives run as they are.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner as Checker, future, thread};

use super::limits::Room;
use super::{Accepted, Limits, Overflow, Runner, Settings, Stats};
use crate::after_response::Connection;
use crate::collect::{Owner, RequestTasks, Source};
use crate::task::{List, Member, QueuedTask, Task, TaskContext, TaskDef, TaskResult, named};

fn check(scenario: fn()) {
    const ORDERS: usize = 3_000;
    let mut config = Config::new();
    // A response's frames are large in a debug build.
    config.stack_size = 512 * 1024;
    let random = RandomScheduler::new(ORDERS);
    Checker::new(random, config.clone()).run(scenario);
    let few_preemptions = PctScheduler::new(3, ORDERS);
    Checker::new(few_preemptions, config).run(scenario);
}

fn runner(limits: Limits) -> Arc<Runner> {
    Runner::new(Settings {
        limits,
        slow_poll_threshold: Duration::MAX,
        drain_timeout: Duration::ZERO,
        ..Settings::default()
    })
}

impl Runner {
    /// As for a request, but in the caller's own future.
    fn run<const N: usize>(
        self: &Arc<Self>,
        mut lists: [List<Accepted>; N],
    ) -> impl Future<Output = ()> + Send + use<N> {
        self.give_seats(&mut lists);
        let (runner, turn) = (self.clone(), self.limits.line_up());
        async move { runner.run_lists(lists, turn.come().await).await }
    }
}

/// How many tasks are at it now, how many were at most, and how many have been.
#[derive(Clone, Default)]
struct Work(Arc<Counts>);

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

impl Work {
    fn task(&self) -> QueuedTask {
        let work = self.clone();
        named("work", async move { work.at_it().await })
    }

    async fn at_it(&self) {
        let Counts { now, most, begun } = &*self.0;
        begun.fetch_add(1, Ordering::SeqCst);
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        future::yield_now().await;
        now.fetch_sub(1, Ordering::SeqCst);
    }

    fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::SeqCst) as u64
    }

    fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }
}

fn list(runner: &Arc<Runner>, tasks: impl IntoIterator<Item = QueuedTask>) -> [List<Accepted>; 1] {
    let accept = |task| match runner.accept(task, None) {
        Ok(accepted) => Member::Task(accepted),
        Err(refused) => Member::Refused(refused),
    };
    let members = tasks.into_iter().map(accept).collect();
    [List {
        members,
        ..List::default()
    }]
}

fn assert_balanced(stats: Stats) {
    let over = stats.completed + stats.failed + stats.skipped + stats.aborted;
    assert_eq!(
        stats.accepted,
        stats.pending + stats.running + over,
        "{stats}"
    );
}

fn assert_all_settled(runner: &Arc<Runner>, accepted: u64) -> Stats {
    let stats = runner.stats();
    assert_balanced(stats);
    assert_eq!(
        (stats.accepted, stats.pending, stats.running),
        (accepted, 0, 0),
        "{stats}"
    );
    stats
}

#[test]
fn a_task_that_is_accepted_while_the_books_close_has_one_outcome() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Work::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [work.task(), work.task()]);
                    future::block_on(runner.run(lists));
                })
            })
            .collect();
        let closing = {
            let runner = runner.clone();
            thread::spawn(move || {
                runner.close_books();
                future::block_on(runner.ledger.idle());
            })
        };
        for thread in threads.into_iter().chain([closing]) {
            thread.join().unwrap();
        }
        let stats = assert_all_settled(&runner, 4);
        assert_eq!(stats.completed + stats.aborted, 4, "{stats}");
        assert!(stats.completed <= work.begun());
        // What came too late is aborted, but was not left behind by the shutdown.
        assert!(runner.ledger.unfinished().len() as u64 <= stats.aborted);
    });
}

/// P-STATS-1
#[test]
fn the_counts_add_up_at_every_moment() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Work::default());
        let running = {
            let (runner, work) = (runner.clone(), work.clone());
            thread::spawn(move || {
                let failing = named("fails", async { Err::<(), _>("no luck") });
                let lists = list(&runner, [work.task(), failing, work.task()]);
                future::block_on(runner.run(lists));
            })
        };
        let dropping = {
            let (runner, work) = (runner.clone(), work.clone());
            thread::spawn(move || drop(list(&runner, [work.task()])))
        };
        for _ in 0..4 {
            assert_balanced(runner.stats());
            thread::yield_now();
        }
        running.join().unwrap();
        dropping.join().unwrap();
        let stats = assert_all_settled(&runner, 4);
        let outcomes = (stats.completed, stats.failed, stats.skipped, stats.aborted);
        assert_eq!(outcomes, (1, 1, 1, 1), "{stats}");
    });
}

/// P-STATS-2
#[test]
fn a_run_a_handle_and_a_drop_settle_a_task_once() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Work::default());
        let lists = list(&runner, [work.task()]);
        let Member::Task(task) = &lists[0].members[0] else {
            panic!("accepted");
        };
        let place = task.ticket.place();
        let aborting = {
            let runner = runner.clone();
            thread::spawn(move || runner.abort_task(place))
        };
        let running = {
            let runner = runner.clone();
            thread::spawn(move || {
                let mut run = Box::pin(runner.run(lists));
                // Polled once, and then dropped, as an abort of its tokio task does it.
                let mut cx = Context::from_waker(Waker::noop());
                let _: Poll<()> = run.as_mut().poll(&mut cx);
                drop(run);
            })
        };
        aborting.join().unwrap();
        running.join().unwrap();
        assert_eq!(assert_all_settled(&runner, 1).aborted, 1);
    });
}

#[test]
fn a_slot_goes_from_list_to_list_and_none_is_lost() {
    check(|| {
        let (runner, work) = (runner(Limits::new(Some(1), None)), Work::default());
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [work.task(), work.task()]);
                    let run = runner.run(lists);
                    if thread == 0 {
                        // Somebody in the line gives up, at whatever moment this is.
                        return drop(run);
                    }
                    future::block_on(run);
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let stats = assert_all_settled(&runner, 6);
        assert_eq!((stats.completed, stats.aborted), (4, 2), "{stats}");
        assert_eq!(work.most(), 1);
    });
}

struct Keyed {
    key: &'static str,
    work: Work,
}

impl Task for Keyed {
    const DEF: &'static TaskDef = &TaskDef::new("keyed").max_per_key(1).max_pending_per_key(1);

    async fn run(self, _: TaskContext) -> TaskResult {
        self.work.at_it().await;
        Ok(())
    }

    fn key(&self) -> Option<String> {
        Some(self.key.to_owned())
    }
}

#[test]
fn tasks_of_a_key_take_turns_and_the_key_is_forgotten_with_the_last() {
    check(|| {
        let runner = runner(Limits::new(Some(2), None));
        let work = [Work::default(), Work::default()];
        let threads: Vec<_> = ["ada", "ada", "grace"]
            .into_iter()
            .map(|key| {
                let (runner, work) = (runner.clone(), work[usize::from(key == "grace")].clone());
                thread::spawn(move || {
                    let task = QueuedTask::declared(Keyed { key, work });
                    let lists = list(&runner, [task]);
                    future::block_on(runner.run(lists));
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let stats = assert_all_settled(&runner, 3);
        assert_eq!(stats.completed + stats.skipped, 3, "{stats}");
        assert!(stats.skipped <= 1, "one of a key may wait: {stats}");
        assert_eq!((work[0].most(), work[1].most()), (1, 1));
        assert!(runner.limits.knows_no_keys());
    });
}

#[test]
fn room_that_is_given_back_reaches_whoever_waits_for_it() {
    check(|| {
        let room = Room::new(1);
        let taken = room.take_anyway();
        let in_excess = room.take_anyway();
        let waiting: Vec<_> = (1..3)
            .map(|count| {
                let room = room.clone();
                thread::spawn(move || future::block_on(room.wait_for(count)).len())
            })
            .collect();
        let leaving = thread::spawn(move || drop(taken));
        drop(in_excess);
        leaving.join().unwrap();
        let seats: usize = waiting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(seats, 3);
        assert!(room.try_take().is_some(), "all seats were given back");
    });
}

#[test]
fn a_shutdown_ends_every_wait_for_room() {
    check(|| {
        let room = Room::new(1);
        let _taken = room.take_anyway();
        let waiting = {
            let room = room.clone();
            thread::spawn(move || future::block_on(room.wait_for(2)).len())
        };
        let closing = thread::spawn(move || room.close());
        assert_eq!(waiting.join().unwrap(), 2);
        closing.join().unwrap();
    });
}

#[test]
fn a_task_is_not_lost_between_the_handler_and_the_response() {
    check(|| add_while_responding(Overflow::Reject));
}

#[test]
fn a_task_is_not_lost_while_the_response_waits_for_room() {
    check(|| add_while_responding(Overflow::Wait));
}

/// The handler ends while others still add tasks, its body is dropped, and the connection closes.
fn add_while_responding(overflow: Overflow) {
    let limits = Limits::new(None, Some((2, overflow)));
    let (runner, work) = (runner(limits), Work::default());
    let connection = Arc::new(Connection::default());
    let request = http::Request::new(());
    let request = RequestTasks::new(runner.clone(), Some(connection.clone()), &request);
    let adding: Vec<_> = (0..2)
        .map(|_| {
            let (request, task) = (request.clone(), work.task());
            thread::spawn(move || request.add(Source::Handler, Member::Task(task)))
        })
        .collect();
    let flushing = {
        let connection = connection.clone();
        thread::spawn(move || connection.close())
    };
    let mut cx = Context::from_waker(Waker::noop());
    let response = http::Response::new(Body::from("ok"));
    let mut owner = Owner::new(request.clone());
    let response = owner.poll_response(&mut cx, |_| Poll::Ready(Ok::<_, Infallible>(response)));
    drop((response, owner));
    adding.into_iter().for_each(|thread| thread.join().unwrap());
    flushing.join().unwrap();
    drop(request);
    future::block_on(runner.ledger.idle());
    assert_eq!(assert_all_settled(&runner, 2).completed, 2);
    assert_eq!(work.begun(), 2);
}
