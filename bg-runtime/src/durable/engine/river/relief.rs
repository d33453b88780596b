//! Working, with one client of River after the other: where claims stand still, the next one goes on with new
//! connections, and relieves the one before, which records what it runs.

use std::sync::Arc;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::River;
use super::db::{Db, Pool};
use super::heart::RiverHeart;
use super::worker::{Bench, Working};
use crate::durable::Desk;
use crate::durable::engine::beat::Beat;
use crate::durable::error::StoreError;
use crate::log_target::RUNTIME;

impl River {
    pub(super) async fn work_until(
        &self,
        desk: Arc<Desk>,
        stop: CancellationToken,
    ) -> Result<(), StoreError> {
        let mut db = self.db().await?;
        if desk.queues.is_empty() || desk.names.is_empty() {
            stop.cancelled().await;
            return Ok(());
        }
        let heart = RiverHeart {
            db: db.clone(),
            held: self.held.clone(),
            worker: self.name.clone(),
            line: None,
        };
        let beat = Beat::start(self.settings.lease, heart);
        let _beat = beat.map_err(StoreError::refused)?;
        let bench = Bench::new(desk, self.held.clone());
        let mut relieved = FuturesUnordered::new();
        let mut number = 0;
        loop {
            let working = Working::new(number, &db, &bench, &self.name, &self.settings)?;
            *self.waker.lock() = Some(working.waker.clone());
            let relief = stop.child_token();
            let mut run = Box::pin(working.run(relief.clone(), stop.clone()));
            tokio::select! {
                ended = &mut run => {
                    let _waker = self.waker.lock().take();
                    all_ended(&mut relieved).await;
                    return ended;
                }
                next = self.new_connections(&db, &bench, relieved.len()) => db = next,
                never = all_ended(&mut relieved).then(|()| std::future::pending()) => match never {},
            }
            relief.cancel();
            relieved.push(run);
            number += 1;
        }
    }

    /// Returns new connections when claims stand still.
    async fn new_connections(&self, db: &Db, bench: &Bench, relieved: usize) -> Arc<Db> {
        match &db.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(database) => {
                let pool = database.pool();
                self.past_standstill(pool, db, bench, relieved).await
            }
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => {
                let _ = (bench, relieved);
                std::future::pending().await
            }
        }
    }
}

/// Waits for clients that another one has relieved.
async fn all_ended(relieved: &mut FuturesUnordered<impl Future<Output = Result<(), StoreError>>>) {
    while let Some(ended) = relieved.next().await {
        if let Err(error) = ended {
            tracing::debug!(target: RUNTIME, %error, "a client of the store that was relieved has failed");
        }
    }
}
