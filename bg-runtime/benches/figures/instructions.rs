//! Instructions, counted by callgrind. They are the same in every run, however busy the machine is.

use std::collections::HashMap;
use std::error::Error;
use std::process::{Command, Stdio};

use crate::apps::Route;
use crate::table::{Figure, Measured};
use crate::work::{Who, Work};

/// Everything is done this often, and twice as often: the difference is the work without the start
/// of the process.
const TIMES: u64 = 1000;

pub(crate) fn measure() {
    let counts = count_all();
    if let Some(counts) = &counts {
        for work in Work::all() {
            println!("  {work:?}: {:.0} instructions", counts[&work]);
        }
    }
    let ratio = |ours: Work, plain: Work| match &counts {
        Some(counts) => Measured::Value(counts[&ours] / counts[&plain]),
        None => Measured::Not("(no valgrind)"),
    };
    let request = |who, route| ratio(Work::Request(who, route), Work::Request(Who::Plain, route));
    let call = |route| ratio(Work::Call(Who::Layer, route), Work::Call(Who::Plain, route));
    let figure = |name, measured, goal| {
        let figure = Figure {
            name,
            measured,
            goal,
            unit: "",
        };
        figure.print();
    };
    figure(
        "request with 1 task, under `serve`: instructions, against `tokio::spawn`",
        request(Who::Serve, Route::OneTask),
        Some(1.25),
    );
    figure(
        "  the same under the layer",
        request(Who::Layer, Route::OneTask),
        None,
    );
    figure(
        "  the same as a call of the router, under the layer",
        call(Route::OneTask),
        None,
    );
    figure(
        "request without tasks, under the layer: instructions, against plain axum",
        request(Who::Layer, Route::NoTask),
        Some(1.05),
    );
    figure(
        "  the same under `serve`",
        request(Who::Serve, Route::NoTask),
        None,
    );
    figure(
        "  the same as a call of the router, under the layer",
        call(Route::NoTask),
        None,
    );
    figure(
        "  request with 3 tasks, under `serve`: instructions, against three `tokio::spawn`",
        request(Who::Serve, Route::ThreeTasks),
        None,
    );
    figure(
        "  a task that is spawned: instructions",
        ratio(Work::Task(Who::Serve), Work::Task(Who::Plain)),
        None,
    );
}

/// Instructions of one piece of each work; `None` if there is no valgrind.
fn count_all() -> Option<HashMap<Work, f64>> {
    let installed = Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status();
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
    let collected = report
        .lines()
        .find_map(|line| line.split_once("Collected : "));
    let (_, instructions) = collected.expect("callgrind tells what it has collected");
    instructions.trim().parse().expect("a number")
}

/// What callgrind counts.
pub(crate) fn main(work: &str, times: &str) -> Result<(), Box<dyn Error>> {
    let work = Work::all()
        .nth(work.parse()?)
        .ok_or("there is no such work")?;
    work.run(times.parse()?);
    Ok(())
}
