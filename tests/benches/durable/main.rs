//! Measures what durable tasks cost, against what one would write by hand in the same run, and prints a table:
//!
//! ```text
//! cargo bench -p tests --features sqlite,postgres --bench durable                   # all: minutes
//! cargo bench -p tests --features sqlite,postgres --bench durable -- pickup request # some
//! ```
//!
//! PostgreSQL is started by this program, on the same machine, and with the feature `redis` Redis as well. "By hand" is a
//! table with `FOR UPDATE SKIP LOCKED` and `NOTIFY`, or a list with locks and scripts, through the same client.

mod by_hand;
#[cfg(feature = "redis")]
mod by_hand_redis;
mod counted;
mod drain;
mod idle;
mod memory;
mod pickup;
#[cfg(feature = "redis")]
mod redis_rows;
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
        #[cfg(feature = "redis")]
        {
            let redis = redis_rows::Server::start()?;
            if measures("drain") {
                redis_rows::drains(&redis).await?;
            }
            if measures("pickup") {
                redis_rows::pickups(&redis).await?;
            }
            if measures("idle") {
                redis_rows::idle(&redis).await?;
            }
        }
        Ok(())
    })
}
