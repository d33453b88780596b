//! A soak: servers that come and go, clients that do their worst, and a ledger outside of the library
//! that says whether a task was ever early, lost or run twice.
//!
//! ```text
//! cargo run --release -p tests --bin soak -- --seconds 600 --seed 1
//! cargo run --release -p tests --bin soak -- --seconds 600 --seed 1 --load 6
//! ```
//!
//! With `--round`, it begins with that round of its seed. With `--load`, as many threads spin beside it: what is a
//! matter of microseconds takes milliseconds.
//!
//! A round is one `Background` and one server, which stops while clients are still about. What
//! happens in it is [planned](plan) beforehand from the seed, the [app] and its [jobs] do
//! their part of it, the [clients] theirs, the [ledger] keeps the [history], and the [judge] judges it.

mod app;
mod arguments;
mod clients;
mod history;
mod jobs;
mod judge;
mod ledger;
mod memory;
mod plan;
mod round;
mod server;
mod summary;

use std::{
    panic,
    process::{self, ExitCode},
    thread,
    time::{Duration, Instant},
};

use self::{arguments::Arguments, memory::Memory, summary::Summary};

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(wrong) => {
            eprintln!("{wrong}\nusage: soak [--seconds N] [--seed N] [--round N] [--load N]");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = memory::use_a_tidy_heap() {
        eprintln!("the memory cannot be judged well: {error}");
    }
    println!("seed={} load={}", arguments.seed, arguments.load);
    keep_quiet_about_planned_panics();
    end_some_time(arguments.time);
    (0..arguments.load).for_each(|_| spin_beside());
    let clients = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime for the clients");

    let begun = Instant::now();
    let (mut summary, mut memory) = (Summary::default(), Memory::default());
    for number in arguments.round.. {
        let plan = plan::RoundPlan::draw(arguments.seed, number);
        // What a round waits for in vain makes it panic, with a message.
        let (counts, violations) = clients
            .block_on(clients.spawn(round::run(plan)))
            .unwrap_or_else(|panicked| {
                let what = format!("seed {}, round {number}: {panicked}", arguments.seed);
                (
                    judge::Counts::default(),
                    vec![judge::Violation::new(judge::Broken::Hung, what)],
                )
            });
        summary.add(counts, violations);
        memory.sample(number);
        if number % 20 == 0 {
            eprintln!("{:.0?}: {summary} {memory}", begun.elapsed());
        }
        if begun.elapsed() >= arguments.time || summary.is_hopeless() {
            break;
        }
    }
    summary.add(judge::Counts::default(), memory.judge());
    summary.name_violations();
    println!("{summary} {memory} seed={}", arguments.seed);
    if summary.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Ends the process when it is so stuck that it does not end on its own.
fn end_some_time(time: Duration) {
    thread::spawn(move || {
        thread::sleep(time + Duration::from_secs(180));
        eprintln!("stuck: three minutes after its time, the soak has not come to its end");
        process::exit(3);
    });
}

/// Keeps a processor busy until the process ends, so that every other thread is held up now and then,
/// wherever it is.
fn spin_beside() {
    thread::spawn(|| {
        loop {
            std::hint::spin_loop();
        }
    });
}

/// The default hook writes a page about each panic, and thousands are planned.
fn keep_quiet_about_planned_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<&str>();
        if said != Some(&jobs::PLANNED) {
            default(info);
        }
    }));
}
