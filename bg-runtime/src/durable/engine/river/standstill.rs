//! Claims that stand still.
//!
//! River waits for the answer to a claim without a limit, and claims nothing else of the queue meanwhile. Where a
//! connection dies without a word after a claim was sent, there will be none, and it takes the system a quarter of an
//! hour to give up. So a worker looks whether tasks wait that it has had room for all the time, and if they do, it goes
//! on with new connections. A file needs none: it answers, or says that it is locked.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;

use super::River;
use super::db::Db;
use super::worker::Bench;
use crate::durable::error::StartError;
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;

/// How long a task waits at least for a worker that has room for it, before its claims are said to stand still.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);

/// How long a look may take: its connection may be dead as well.
const ANSWER: Duration = Duration::from_secs(2);

/// How long it may take to open new connections.
const OPEN: Duration = Duration::from_secs(30);

impl River {
    /// Returns new connections when claims stand still. `relieved` says how many clients have not ended that had others
    /// before: with each of them it is less likely that it helps.
    pub(super) async fn past_standstill(
        &self,
        pool: &PgPool,
        db: &Db,
        bench: &Bench,
        relieved: usize,
    ) -> Arc<Db> {
        let patience = PATIENCE * (1 << relieved.min(6));
        loop {
            tokio::time::sleep(LOOK).await;
            let idle = bench.rooms.idle_for(patience);
            if idle.is_empty() {
                continue;
            }
            // If it fails, so do the fetches of River, which tells the log of that.
            let looked = tokio::time::timeout(ANSWER, with_tasks(pool, db, &idle, bench.names()));
            let queues = looked.await.ok().and_then(Result::ok).unwrap_or_default();
            if queues.is_empty() {
                continue;
            }
            let queues = OneLine(queues.join(", "));
            match tokio::time::timeout(OPEN, self.reconnect()).await {
                Ok(Ok(db)) => {
                    tracing::warn!(
                        target: RUNTIME,
                        %queues,
                        "tasks wait although there is room for them, and claims are not answered: this worker goes on with \
                         new connections to the store",
                    );
                    return db;
                }
                Ok(Err(error)) => tracing::warn!(
                    target: RUNTIME,
                    %queues,
                    %error,
                    "tasks wait although there is room for them, and there are no new connections to the store",
                ),
                // The next look follows.
                Err(_) => {}
            }
        }
    }

    /// Opens new connections, and leaves those that there are to what uses them.
    async fn reconnect(&self) -> Result<Arc<Db>, StartError> {
        let db = self.connect().await?;
        if let Some(current) = self.db.get() {
            let before = std::mem::replace(&mut *current.lock(), db.clone());
            before.close_unused();
        }
        Ok(db)
    }
}

/// Returns those of the queues in which a task waits that the next fetch would claim, and has waited for [`PATIENCE`].
async fn with_tasks(
    pool: &PgPool,
    db: &Db,
    queues: &[&str],
    names: &[&str],
) -> Result<Vec<String>, sqlx::Error> {
    // Locked, because a claim leaves out what somebody else has locked.
    let sql = format!(
        "select queue.name from unnest($1::text[]) as queue (name), lateral (
             select 1 from {} where state = 'available' and queue = queue.name and kind = any ($2::text[])
                 and scheduled_at < now() - make_interval(secs => $3)
                 and not exists (select 1 from {} as river where river.name = queue.name and paused_at is not null)
             limit 1 for update skip locked) as task",
        db.sql.jobs, db.sql.queues
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .bind(queues)
        .bind(names)
        .bind(PATIENCE.as_secs_f64())
        .fetch_all(pool)
        .await
}
