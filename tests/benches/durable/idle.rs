//! What a worker costs that has nothing to do.

use std::fs;
use std::time::Duration;

use super::Outcome;
use super::stores::{Noop, Stores, Witness, background};
use super::table::row;

pub(crate) const WATCHED: Duration = Duration::from_secs(20);

pub(crate) async fn measure(stores: &Stores) -> Outcome {
    let pool = stores.pool(1).await?;
    for (name, store) in [
        ("PostgreSQL", stores.postgres("idle")),
        ("SQLite", stores.sqlite("idle.db")),
    ] {
        let (witness, mut told) = Witness::new();
        let background = background(store, witness)?;
        background.start().await?;
        background.enqueue(Noop::new(1)).await?;
        told.recv().await.ok_or("the worker has ended")?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        let writes = async || -> Result<i64, Box<dyn std::error::Error>> {
            let sql = "select coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint from pg_stat_user_tables
                       where schemaname = 'idle' and relname <> 'river_leader' and relname <> 'river_queue'";
            Ok(bg_runtime::sqlx::query_scalar(sql).fetch_one(&pool).await?)
        };
        let (before, cpu) = (writes().await?, cpu_time()?);
        tokio::time::sleep(WATCHED).await;
        let share = (cpu_time()? - cpu).as_secs_f64() / WATCHED.as_secs_f64() * 100.0;
        let written = writes().await? - before;
        let own = match name {
            "PostgreSQL" => format!("{share:.2} % of a core, {written} rows written"),
            _ => format!("{share:.2} % of a core"),
        };
        row(&format!("an idle worker, {name}"), &own, "", "", "<= 0.5 %");
        background.shutdown().await;
    }
    Ok(())
}

/// The time that this process has used of its cores.
pub(crate) fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit(')').next().ok_or("no fields")?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Result<u64, Box<dyn std::error::Error>> {
        Ok(fields.next().ok_or("too few fields")?.parse()?)
    };
    // A hundred ticks are a second, as far as programs are told.
    Ok(Duration::from_millis((ticks()? + ticks()?) * 10))
}
