//! What a worker needs of memory when much is stored.

use std::fs;

use super::Outcome;
use super::stores::{Noop, Stores, Witness, background};
use super::table::row;

const STORED: i64 = 1_000_000;

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let mut most = Vec::new();
    for stored in [10_000, STORED] {
        let schema = format!("memory_{stored}");
        let (witness, mut told) = Witness::new();
        let background = background(stores.postgres(&schema).concurrency(200), witness)?;
        background.enqueue(Noop::new(1)).await?;
        // As many as that one, by the server itself.
        let sql = format!(
            "insert into {schema}.river_job (args, kind, max_attempts, metadata, queue, state)
             select args, kind, max_attempts, metadata, queue, state from {schema}.river_job, generate_series(2, $1)"
        );
        let pool = stores.pool(1).await?;
        bg_runtime::sqlx::query(bg_runtime::sqlx::AssertSqlSafe(sql))
            .bind(stored)
            .execute(&pool)
            .await?;
        background.start().await?;
        let mut peak = 0;
        // The same number of tasks in both, as a run of each takes what it takes.
        for ran in 0..10_000 {
            told.recv().await.ok_or("the worker has ended")?;
            if ran % 100 == 0 {
                peak = peak.max(resident()?);
            }
        }
        background.shutdown().await;
        most.push(peak);
    }
    let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1024.0 / 1024.0);
    row(
        "a worker that drains 10,000 of 1,000,000 tasks, beside 10,000 of 10,000",
        &mib(most[1]),
        "",
        &format!("+{}", mib(most[1].saturating_sub(most[0]))),
        "does not grow",
    );
    Ok(())
}

/// The memory that this process has, in bytes.
fn resident() -> Result<u64, Box<dyn std::error::Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm
        .split_whitespace()
        .nth(1)
        .ok_or("too few fields")?
        .parse()?;
    Ok(pages * 4096)
}
