//! Instructions, counted by callgrind. They are the same in every run, whatever else the machine does.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::apps::Route;
use crate::table::{Figure, Measured};
use crate::work::{Who, Work};

/// Done once and twice as often: what the difference leaves is the work, without the start of the
/// process.
const TIMES: u64 = 1000;

pub(crate) fn measure() {
    let counts = count_all();
    if let Some(counts) = &counts {
        for work in Work::all() {
            println!("  {work:?}: {:.0} instructions", counts[&work]);
        }
    }
    let ratio = |work: fn(Who) -> Work| match &counts {
        Some(counts) => Measured::Value(counts[&work(Who::Ours)] / counts[&work(Who::Plain)]),
        None => Measured::Not("(no valgrind)"),
    };
    let of_one_task = match &counts {
        Some(counts) => {
            let task = |who| counts[&Work::Request(who, Route::OneTask)] - counts[&Work::Request(who, Route::NoTask)];
            Measured::Value(task(Who::Ours) / task(Who::Plain))
        }
        None => Measured::Not("(no valgrind)"),
    };
    let figure = |name, measured, goal| Figure { name, measured, goal, unit: "" };
    figure(
        "request with 1 task, under `serve`: instructions, against `tokio::spawn`",
        ratio(|who| Work::Request(who, Route::OneTask)),
        Some(1.25),
    )
    .print();
    figure(
        "  the same as a call of the router, under the layer",
        ratio(|who| Work::Call(who, Route::OneTask)),
        None,
    )
    .print();
    figure(
        "request without tasks, under `serve`: instructions, against plain axum",
        ratio(|who| Work::Request(who, Route::NoTask)),
        Some(1.05),
    )
    .print();
    figure(
        "  the same as a call of the router, under the layer",
        ratio(|who| Work::Call(who, Route::NoTask)),
        None,
    )
    .print();
    figure(
        "  request with 3 tasks, under `serve`: instructions, against three `tokio::spawn`",
        ratio(|who| Work::Request(who, Route::ThreeTasks)),
        None,
    )
    .print();
    figure("  the task of a request alone: instructions", of_one_task, None).print();
    figure("  a task that is spawned: instructions", ratio(Work::Task), None).print();
}

/// Instructions of one piece of each work; `None` where there is no valgrind.
fn count_all() -> Option<HashMap<Work, f64>> {
    let installed = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return None;
    }
    Some(
        Work::all()
            .enumerate()
            .map(|(number, work)| {
                let (once, twice) = (count(number, TIMES), count(number, 2 * TIMES));
                (work, (twice - once) / TIMES as f64)
            })
            .collect(),
    )
}

fn count(work: usize, times: u64) -> f64 {
    let program = std::env::current_exe().expect("the path of this program");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["work", &work.to_string(), &times.to_string()])
        .output()
        .expect("valgrind can be started");
    let report = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}");
    let collected = report.lines().find_map(|line| line.split_once("Collected : "));
    let (_, instructions) = collected.expect("callgrind tells what it has collected");
    instructions.trim().parse().expect("a number")
}

/// What callgrind counts.
pub(crate) fn main(work: &str, times: &str) {
    let work: usize = work.parse().expect("the number of a work");
    let times = times.parse().expect("how many times");
    Work::all().nth(work).expect("there is such a work").run(times);
}
