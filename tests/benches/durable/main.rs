//! Measures what durable tasks cost, against what one would write by hand in the same run, and prints a table:
//!
//! ```text
//! cargo bench -p tests --features sqlite,postgres --bench durable                   # all: minutes
//! cargo bench -p tests --features sqlite,postgres --bench durable -- pickup request # some
//! ```
//!
//! PostgreSQL is started by this program, on the same machine. "By hand" is a table with `FOR UPDATE SKIP LOCKED` and
//! `NOTIFY`, through the same client.

mod by_hand;
mod counted;
mod drain;
mod idle;
mod memory;
mod pickup;
mod requests;
mod stores;
mod table;

use std::error::Error;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let measures = |name: &str| arguments.is_empty() || arguments.iter().any(|word| word == name);
    table::print_head();
    runtime.block_on(async {
        let postgres = stores::Stores::start()?;
        if measures("drain") {
            drain::measure(&postgres).await?;
        }
        if measures("pickup") {
            pickup::measure(&postgres).await?;
        }
        if measures("request") {
            requests::measure(&postgres).await?;
        }
        if measures("idle") {
            idle::measure(&postgres).await?;
        }
        if measures("memory") {
            memory::measure(&postgres).await?;
        }
        Ok(())
    })
}
