//! Claims that stand still.
//!
//! River waits for the answer to a claim without a limit, and claims nothing else of the queue meanwhile. Where a
//! connection dies without a word after a claim was sent, there will be none, and it takes the system a quarter of an
//! hour to give up. So a worker looks whether tasks wait that it has had room for all the time, and if they do, it goes
//! on with new connections.

use std::time::Duration;

use super::db::{Bind, Db, Pool, fetch};
use super::room::Rooms;
use crate::durable::error::StoreError;

/// How long a task waits at most, beside [`LOOK`], for a worker that has room for it and does not notice.
const PATIENCE: Duration = Duration::from_secs(6);

/// How often is looked.
const LOOK: Duration = Duration::from_secs(2);

/// How long a look may take: its connection may be dead as well.
const ANSWER: Duration = Duration::from_secs(2);

/// New connections may not help, where it is something else that keeps claims from succeeding: they are opened less and
/// less often then.
pub(super) struct Standstill {
    patience: Duration,
    /// Those that were found last.
    found: Vec<String>,
}

impl Standstill {
    /// The longest time between two attempts.
    const MOST: Duration = Duration::from_secs(10 * 60);

    pub(super) fn new() -> Self {
        Self {
            patience: PATIENCE,
            found: Vec::new(),
        }
    }

    /// Returns when queues stand still, and which.
    pub(super) async fn found(
        &mut self,
        db: &Db,
        rooms: &Rooms,
        names: &'static [&'static str],
    ) -> Vec<String> {
        loop {
            tokio::time::sleep(LOOK).await;
            let idle = rooms.idle_for(PATIENCE);
            if !self.found.iter().any(|queue| idle.contains(&&**queue)) {
                self.patience = PATIENCE;
            }
            let idle = rooms.idle_for(self.patience);
            if idle.is_empty() {
                continue;
            }
            // If it fails, so do the fetches of River, which tells the log of that.
            let found = tokio::time::timeout(ANSWER, with_tasks(db, &idle, names)).await;
            let found = found.ok().and_then(Result::ok).unwrap_or_default();
            if !found.is_empty() {
                self.patience = (self.patience * 2).min(Self::MOST);
                self.found.clone_from(&found);
                return found;
            }
        }
    }
}

/// Returns those of the queues in which a task waits that the next fetch would claim, and has waited for [`PATIENCE`].
async fn with_tasks(
    db: &Db,
    queues: &[&str],
    names: &'static [&'static str],
) -> Result<Vec<String>, StoreError> {
    match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => {
            let list =
                |names: &[&str]| Bind::Text(serde_json::to_string(names).unwrap_or_default());
            // Locked, because a claim leaves out what somebody else has locked.
            let sql = format!(
                "select queue.name from jsonb_array_elements_text($1::jsonb) as queue (name), lateral (
                     select 1 from {} where state = 'available' and queue = queue.name
                         and scheduled_at < now() - make_interval(secs => $3)
                         and kind = any (array(select jsonb_array_elements_text($2::jsonb)))
                         and not exists (
                             select 1 from {} as river where river.name = queue.name and paused_at is not null)
                     limit 1 for update skip locked) as task",
                db.sql.jobs, db.sql.queues
            );
            let patience = Bind::Int(PATIENCE.as_secs().try_into().unwrap_or(i64::MAX));
            let found = fetch!(
                db,
                (String,),
                sql,
                vec![list(queues), list(names), patience]
            )?;
            Ok(found.into_iter().map(|(queue,)| queue).collect())
        }
        // A file answers, or says that it is locked.
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => {
            let _ = (queues, names);
            Ok(Vec::new())
        }
    }
}
