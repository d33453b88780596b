//! What lists cost grows with the number of their tasks, and no faster. A program of its own with one
//! test, because it counts the heap allocations of the whole program.

use std::alloc::System;

use bg_runtime::{Background, BackgroundTasks, BoxTask, named, tasks};
use stats_alloc::{Region, StatsAlloc};
use tests::tasks::{respond_with, settled};

#[global_allocator]
static HEAP: StatsAlloc<System> = StatsAlloc::system();

fn succeed() -> BoxTask {
    named("succeed", async {})
}

fn fail() -> BoxTask {
    named("fail", async { Err::<(), _>("no luck") })
}

fn concurrent(count: usize, task: fn() -> BoxTask) -> BackgroundTasks {
    let list = BackgroundTasks::concurrent();
    (0..count).for_each(|_| list.add_task(task()));
    list
}

/// A concurrent list before as many tasks.
fn concurrent_first(count: usize) -> BackgroundTasks {
    let list = tasks![concurrent(count, succeed)];
    (0..count).for_each(|_| list.add_task(succeed()));
    list
}

/// The same, where each of the concurrent ones keeps all tasks behind them from running.
fn concurrent_failures_first(count: usize) -> BackgroundTasks {
    let list = tasks![concurrent(count, fail)];
    (0..count).for_each(|_| list.add_task(succeed()));
    list
}

/// The same, where lists that go on after failures stand before the others.
fn continuing_failures_first(count: usize) -> BackgroundTasks {
    let failing: BackgroundTasks = (0..count).map(|_| fail()).collect();
    let list = tasks![failing.continue_on_error()];
    (0..count).for_each(|_| list.add_task(succeed()));
    list
}

fn small_lists(count: usize) -> BackgroundTasks {
    let small = || tasks![succeed()].continue_on_error();
    (0..count).map(|_| small()).collect()
}

fn small_concurrent_lists(count: usize) -> BackgroundTasks {
    (0..count).map(|_| concurrent(1, succeed)).collect()
}

/// One list inside the other, each with a task before and behind the next.
fn nested(count: usize) -> BackgroundTasks {
    let around = |inner, _| tasks![succeed(), inner, succeed()];
    (0..count).fold(BackgroundTasks::new(), around)
}

/// The same, where the innermost task fails.
fn nested_before_one_failure(count: usize) -> BackgroundTasks {
    let around = |inner, _| tasks![succeed(), inner, succeed()];
    (0..count).fold(tasks![fail()], around)
}

/// Failures at every depth, each of which keeps the tasks behind all lists around it from running.
fn nested_failures(count: usize) -> BackgroundTasks {
    let around = |inner, _| tasks![tasks![fail(), inner].continue_on_error(), succeed()];
    (0..count).fold(BackgroundTasks::new(), around)
}

/// Concurrent lists inside of others, with something behind each of them.
fn nested_concurrent(count: usize) -> BackgroundTasks {
    let around = |inner, _| {
        let both = concurrent(1, succeed).with_task(inner);
        tasks![concurrent(1, succeed), both, succeed()]
    };
    (0..count).fold(BackgroundTasks::new(), around)
}

async fn bytes(background: &Background, make: fn(usize) -> BackgroundTasks, count: usize) -> f64 {
    let before = background.stats().accepted;
    let region = Region::new(&HEAP);
    let list = make(count);
    let tasks = list.len() as u64;
    respond_with(background, list).await;
    settled(background, before + tasks).await;
    let change = region.change();
    (change.bytes_allocated as f64) + (change.bytes_reallocated as f64).max(0.0)
}

/// P-LIST-2
#[tokio::test]
async fn what_a_list_allocates_grows_with_its_tasks_and_no_faster() {
    type Shape = (&'static str, fn(usize) -> BackgroundTasks);
    const SHAPES: [Shape; 9] = [
        ("concurrent first", concurrent_first),
        ("concurrent failures first", concurrent_failures_first),
        ("continuing failures first", continuing_failures_first),
        ("small lists", small_lists),
        ("small concurrent lists", small_concurrent_lists),
        ("nested", nested),
        ("nested before one failure", nested_before_one_failure),
        ("nested failures", nested_failures),
        ("nested concurrent", nested_concurrent),
    ];
    let background = Background::builder()
        .on_error(|_| {})
        .build()
        .expect("no task needs a state");
    for (name, make) in SHAPES {
        // The first allocates what all of them share.
        bytes(&background, make, 100).await;
        let few = bytes(&background, make, 500).await;
        let many = bytes(&background, make, 4_000).await;
        let ratio = many / few;
        // Eight times as many: it would be near 64 if each list had a copy of what is behind it.
        assert!(ratio < 12.0, "{name}: {few} bytes, then {many}");
    }
}
