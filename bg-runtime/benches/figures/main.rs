//! Measures the figures that the library promises, and prints them as a table:
//!
//! ```text
//! cargo bench -p bg-runtime --bench figures                # all: minutes
//! cargo bench -p bg-runtime --bench figures -- --quick     # all but the clean builds
//! cargo bench -p bg-runtime --bench figures -- queue tree  # some
//! ```
//!
//! Each ratio is against a baseline that is measured in the same run, in turns with it, because the
//! machine may be busy. A figure without a goal explains the one above it.

mod apps;
mod builds;
mod cargo;
mod client;
mod instructions;
mod memory;
mod parts;
mod queue;
mod registry;
mod requests;
mod table;
mod work;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        // Started by this program.
        ["client", address, path, requests] => client::main(address, path, requests),
        ["work", work, times] => instructions::main(work, times),
        _ => {
            measure(&arguments);
            Ok(())
        }
    }
}

/// What is measured, in the order of the table, and whether it takes minutes.
const SECTIONS: [(&str, fn(), bool); 8] = [
    ("requests", requests::measure, false),
    ("instructions", instructions::measure, false),
    ("queue", queue::measure, false),
    ("memory", memory::measure, false),
    ("registry", registry::measure, false),
    ("tree", builds::measure_tree, false),
    ("check", builds::measure_check, false),
    ("build", builds::measure_build, true),
];

/// Measures the sections that are named, or else all.
fn measure(arguments: &[&str]) {
    let quick = arguments.contains(&"--quick");
    let some_are_named = SECTIONS.iter().any(|(name, ..)| arguments.contains(name));
    table::print_head();
    for (name, measure, takes_minutes) in SECTIONS {
        let is_left_out = some_are_named || (quick && takes_minutes);
        if arguments.contains(&name) || !is_left_out {
            measure();
        }
    }
}
