//! Measures the figures that the library promises, and prints them as a table:
//!
//! ```text
//! cargo bench -p bg-runtime --bench figures
//! ```
//!
//! Each figure is a ratio against a baseline that is measured in the same run, in turns with it.

mod apps;
mod client;
mod instructions;
mod queue;
mod requests;
mod table;
mod work;

use std::error::Error;

/// The figures, in the order of the table.
const SECTIONS: [(&str, fn()); 3] = [
    ("requests", requests::measure),
    ("instructions", instructions::measure),
    ("queue", queue::measure),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["client", address, path, requests] => return client::main(address, path, requests),
        ["work", work, times] => {
            instructions::main(work, times);
            return Ok(());
        }
        _ => {}
    }
    let wanted: Vec<&str> = arguments.iter().copied().filter(|argument| !argument.starts_with("--")).collect();
    table::print_head();
    for (name, measure) in SECTIONS {
        if wanted.is_empty() || wanted.contains(&name) {
            measure();
        }
    }
    Ok(())
}
