//! Counts what the library keeps on the heap. A program of its own, because it counts every
//! allocation, which costs time that must not show in the other figures:
//! `cargo bench -p bg-runtime --bench allocations`.
//!
//! Prints one `name=number` per line, for the figures to read.

#[path = "../figures/apps.rs"]
mod apps;
#[path = "../figures/work.rs"]
#[expect(dead_code, reason = "the figures use the rest")]
mod work;

mod lists;
mod waiting;

use std::alloc::System;

use stats_alloc::{Region, StatsAlloc};

use self::apps::Route;
use self::work::{Who, Work};

#[global_allocator]
static HEAP: StatsAlloc<System> = StatsAlloc::system();

/// Everything is done this often, and twice as often: the difference is the work without the start.
const TIMES: u64 = 1000;

fn main() {
    let per_request = |who, route| allocations(Work::Request(who, route));
    let response = per_request(Who::Serve, Route::NoTask);
    let one_task = per_request(Who::Serve, Route::OneTask);
    let three_tasks = per_request(Who::Serve, Route::ThreeTasks);
    println!("first_task={:.2}", one_task - response);
    println!("further_task={:.2}", (three_tasks - one_task) / 2.0);
    println!(
        "response={:.2}",
        response - per_request(Who::Plain, Route::NoTask)
    );
    println!("waiting_for_response={:.0}", waiting::for_response());
    println!("waiting_for_slot={:.0}", waiting::for_slot());
    for count in [1, 10, 100, 1_000, 10_000] {
        println!("concurrent_{count}={:.0}", lists::concurrent_first(count));
        println!("small_lists_{count}={:.0}", lists::small_lists(count));
        println!("nested_lists_{count}={:.0}", lists::nested_lists(count));
    }
}

fn allocations(work: Work) -> f64 {
    let count = |times| {
        let region = Region::new(&HEAP);
        work.run(times);
        let change = region.change();
        change.allocations + change.reallocations
    };
    (count(2 * TIMES) - count(TIMES)) as f64 / TIMES as f64
}
