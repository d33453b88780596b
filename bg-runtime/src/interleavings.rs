//! Races between threads, run in thousands of orders that a model checker picks.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p bg-runtime --lib --features durable interleavings --target-dir target/shuttle
//! ```
//!
//! The locks are the checker's, and so is the executor; tokio's own primitives run as they are.

#[cfg(feature = "durable")]
mod stored;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner as Checker, future, thread};

use crate::request::{Connection, RequestGuard, RequestTasks, Source};
use crate::run::{AcceptedTask, Limits, Overflow, PendingLimit, Runner, Settings, Stats};
use crate::task::{BoxTask, Item, OnFull, Task, TaskContext, TaskDef, TaskList, TaskResult, named};

fn check(scenario: fn()) {
    check_orders(3_000, scenario);
}

fn check_orders(orders: usize, scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let mut config = Config::new();
    // A response's frames are large in a debug build.
    config.stack_size = 512 * 1024;
    let random = RandomScheduler::new(orders);
    Checker::new(random, config.clone()).run(scenario);
    let few_preemptions = PctScheduler::new(3, orders);
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

/// Counts how many tasks run now, how many ran at most, and how many have begun.
#[derive(Clone, Default)]
struct Workload(Arc<Counts>);

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    begun: AtomicUsize,
}

impl Workload {
    fn task(&self) -> BoxTask {
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

fn list(
    runner: &Arc<Runner>,
    tasks: impl IntoIterator<Item = BoxTask>,
) -> [TaskList<AcceptedTask>; 1] {
    let accept = |task| match runner.accept(task, None) {
        Ok(accepted) => Some(Item::Task(accepted)),
        Err(not_accepted) => not_accepted.gap(),
    };
    let mut list = TaskList::default();
    let items = tasks.into_iter().filter_map(accept);
    items.for_each(|item| list.push(item));
    [list]
}

/// Aborts a task of a list, as its handle does, on a thread of its own.
fn abort_beside(
    runner: &Arc<Runner>,
    [list]: &[TaskList<AcceptedTask>; 1],
    nth: usize,
) -> thread::JoinHandle<()> {
    let Item::Task(task) = &list.items()[nth] else {
        panic!("accepted");
    };
    let (runner, key) = (runner.clone(), task.key());
    thread::spawn(move || runner.abort_task(key))
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
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [work.task(), work.task()]);
                    future::block_on(runner.run_here(lists));
                })
            })
            .collect();
        let closing = {
            let runner = runner.clone();
            thread::spawn(move || {
                runner.close_books();
                future::block_on(runner.idle());
            })
        };
        for thread in threads.into_iter().chain([closing]) {
            thread.join().unwrap();
        }
        let stats = assert_all_settled(&runner, 4);
        assert_eq!(stats.completed + stats.aborted, 4, "{stats}");
        assert!(stats.completed <= work.begun());
        // A task that came after the shutdown is aborted as well, but is not one that it left behind.
        let unfinished = runner.report_so_far().unfinished().len();
        assert!(unfinished as u64 <= stats.aborted);
    });
}

/// P-SHUTDOWN-8
#[test]
fn every_task_is_in_one_report_while_servers_end_and_begin() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let begin = |runner: &Arc<Runner>| {
            future::block_on(runner.begin_serving()).expect("it is not shut down")
        };
        let first = begin(&runner);
        let adding: Vec<_> = (0..2)
            .map(|_| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [work.task(), work.task()]);
                    future::block_on(runner.run_here(lists));
                })
            })
            .collect();
        let ending = thread::spawn(move || future::block_on(Runner::end_serving_now(first)));
        let again = {
            let runner = runner.clone();
            thread::spawn(move || {
                // Joins the first server, or waits for its drain, or follows it.
                let second = begin(&runner);
                future::block_on(Runner::end_serving_now(second))
            })
        };
        adding.into_iter().for_each(|thread| thread.join().unwrap());
        let reports = [ending, again].map(|thread| thread.join().unwrap());
        let stats = assert_all_settled(&runner, 4);
        assert_eq!(
            stats.completed + stats.aborted + stats.skipped,
            4,
            "{stats}"
        );
        assert!(stats.completed <= work.begun());

        assert!(reports.iter().any(Option::is_some), "none has drained");
        let reports = reports.into_iter().flatten();
        let reports: Vec<_> = reports.chain([runner.report_so_far()]).collect();
        let reported: u64 = reports.iter().map(|report| report.stats().accepted).sum();
        assert_eq!(reported, 4);
        for report in &reports {
            assert_balanced(report.stats());
            let unfinished = report.unfinished().len() as u64;
            assert_eq!(unfinished, report.stats().aborted, "{report}");
        }
    });
}

/// P-STATS-1
#[test]
fn the_counts_add_up_at_every_moment() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let running = {
            let (runner, work) = (runner.clone(), work.clone());
            thread::spawn(move || {
                let failing = named("fails", async { Err::<(), _>("no luck") });
                let lists = list(&runner, [work.task(), failing, work.task()]);
                future::block_on(runner.run_here(lists));
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
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let lists = list(&runner, [work.task()]);
        let aborting = abort_beside(&runner, &lists, 0);
        let running = {
            let runner = runner.clone();
            thread::spawn(move || {
                let mut run = Box::pin(runner.run_here(lists));
                // Polled once and then dropped, as when its tokio task is aborted.
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

/// Whenever its handle does so: before its turn, while it runs, or after its end.
///
/// P-HANDLE-4
#[test]
fn a_task_that_its_handle_aborts_ends_its_list_and_no_wake_up_is_lost() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let never_ends = named("never ends", std::future::pending::<()>());
        let lists = list(&runner, [work.task(), never_ends, work.task()]);
        let aborting = abort_beside(&runner, &lists, 1);
        future::block_on(runner.run_here(lists));
        aborting.join().unwrap();
        let stats = assert_all_settled(&runner, 3);
        let outcomes = (stats.completed, stats.aborted, stats.skipped);
        assert_eq!(outcomes, (1, 1, 1), "{stats}");
        assert_eq!(work.begun(), 1);
    });
}

/// Who is first decides, also for the list: what was aborted has not succeeded, even if its work was done.
///
/// P-HANDLE-4
#[test]
fn a_task_that_ends_as_its_handle_aborts_it_ends_in_one_way() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let failing = named("fails", async {
            future::yield_now().await;
            Err::<(), _>("no luck")
        });
        for (ends_well, task) in [(true, work.task()), (false, failing)] {
            let before = runner.stats();
            let lists = list(&runner, [task, work.task()]);
            let aborting = abort_beside(&runner, &lists, 0);
            future::block_on(runner.run_here(lists));
            aborting.join().unwrap();
            let stats = runner.stats().since(&before);
            let outcomes = (stats.completed, stats.failed, stats.aborted, stats.skipped);
            let expected = match (stats.aborted, ends_well) {
                (0, true) => (2, 0, 0, 0),
                (0, false) => (0, 1, 0, 1),
                _ => (0, 0, 1, 1),
            };
            assert_eq!(outcomes, expected, "{stats}");
        }
        assert_all_settled(&runner, 4);
    });
}

/// P-HANDLE-4
#[test]
fn a_task_that_is_aborted_twice_or_replaced_ends_in_one_way() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let newest = || BoxTask::declared(Newest(work.clone()));
        let lists = list(&runner, [newest(), work.task()]);
        let aborting = [(); 2].map(|()| abort_beside(&runner, &lists, 0));
        let replacing = {
            let (runner, newest) = (runner.clone(), newest());
            thread::spawn(move || future::block_on(runner.run_here(list(&runner, [newest]))))
        };
        future::block_on(runner.run_here(lists));
        aborting
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        replacing.join().unwrap();
        let stats = assert_all_settled(&runner, 3);
        let outcomes = (stats.completed, stats.aborted, stats.skipped);
        // Aborted, and what is behind it skipped; or replaced; or neither was in time.
        assert!(
            [(1, 1, 1), (2, 0, 1), (3, 0, 0)].contains(&outcomes),
            "{stats}"
        );
        assert!(runner.limits().knows_no_keys());
    });
}

#[test]
fn a_slot_goes_from_list_to_list_and_none_is_lost() {
    check(|| {
        let (runner, work) = (runner(Limits::new(Some(1), None)), Workload::default());
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [work.task(), work.task()]);
                    let run = runner.run_here(lists);
                    if thread == 0 {
                        // One list gives up its turn, at any moment.
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
    work: Workload,
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
        let work = [Workload::default(), Workload::default()];
        let threads: Vec<_> = ["ada", "ada", "grace"]
            .into_iter()
            .map(|key| {
                let (runner, work) = (runner.clone(), work[usize::from(key == "grace")].clone());
                thread::spawn(move || {
                    let task = BoxTask::declared(Keyed { key, work });
                    let lists = list(&runner, [task]);
                    future::block_on(runner.run_here(lists));
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
        assert!(runner.limits().knows_no_keys());
    });
}

struct Newest(Workload);

impl Task for Newest {
    const DEF: &'static TaskDef = &TaskDef::new("newest")
        .max_per_key(1)
        .max_pending_per_key(1)
        .on_full(OnFull::Replace);

    async fn run(self, _: TaskContext) -> TaskResult {
        self.0.at_it().await;
        Ok(())
    }

    fn key(&self) -> Option<String> {
        Some("ada".to_owned())
    }
}

#[test]
fn a_task_runs_or_is_replaced_and_none_is_refused_or_aborted() {
    check(|| {
        let (runner, work) = (runner(Limits::default()), Workload::default());
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (runner, work) = (runner.clone(), work.clone());
                thread::spawn(move || {
                    let lists = list(&runner, [BoxTask::declared(Newest(work))]);
                    let is_accepted = matches!(lists[0].items(), [Item::Task(_)]);
                    assert!(is_accepted, "one that waits can be replaced");
                    future::block_on(runner.run_here(lists));
                })
            })
            .collect();
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
        let stats = assert_all_settled(&runner, 3);
        assert_eq!(stats.completed + stats.skipped, 3, "{stats}");
        assert_eq!(stats.completed, work.begun(), "{stats}");
        assert!(stats.skipped <= 2, "the newest runs: {stats}");
        assert_eq!(work.most(), 1);
        assert!(runner.limits().knows_no_keys());
    });
}

#[test]
fn returned_permits_reach_the_responses_that_wait_for_them() {
    check(|| {
        let limit = PendingLimit::new(1);
        let taken = limit.acquire_beyond();
        let in_excess = limit.acquire_beyond();
        let waiting: Vec<_> = (1..3)
            .map(|count| {
                let limit = limit.clone();
                thread::spawn(move || future::block_on(limit.acquire_many(count)).len())
            })
            .collect();
        let leaving = thread::spawn(move || drop(taken));
        drop(in_excess);
        leaving.join().unwrap();
        let permits: usize = waiting
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        assert_eq!(permits, 3);
        assert!(limit.try_acquire().is_some(), "all permits were returned");
    });
}

#[test]
fn a_shutdown_ends_every_wait_for_room() {
    check(|| {
        let limit = PendingLimit::new(1);
        let _taken = limit.acquire_beyond();
        let waiting = {
            let limit = limit.clone();
            thread::spawn(move || future::block_on(limit.acquire_many(2)).len())
        };
        let closing = thread::spawn(move || limit.close());
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

/// The handler responds while other threads still add tasks; then its body is dropped, while the
/// connection closes.
fn add_while_responding(overflow: Overflow) {
    let limits = Limits::new(None, Some((2, overflow)));
    let (runner, work) = (runner(limits), Workload::default());
    let connection = Arc::new(Connection::default());
    let request = http::Request::new(());
    let request = RequestTasks::new(runner.clone(), Some(connection.clone()), &request);
    let adding: Vec<_> = (0..2)
        .map(|_| {
            let (request, task) = (request.clone(), work.task());
            thread::spawn(move || request.add(Source::Handler, Item::Task(task)))
        })
        .collect();
    let flushing = {
        let connection = connection.clone();
        thread::spawn(move || connection.close())
    };
    let mut cx = Context::from_waker(Waker::noop());
    let response = http::Response::new(Body::from("ok"));
    let mut guard = RequestGuard::new(request.clone());
    let response = guard.poll_response(&mut cx, |_| Poll::Ready(Ok::<_, Infallible>(response)));
    drop((response, guard));
    adding.into_iter().for_each(|thread| thread.join().unwrap());
    flushing.join().unwrap();
    drop(request);
    future::block_on(runner.idle());
    assert_eq!(assert_all_settled(&runner, 2).completed, 2);
    assert_eq!(work.begun(), 2);
}
