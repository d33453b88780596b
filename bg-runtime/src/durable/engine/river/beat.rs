//! The heartbeat: what a worker runs is its own as long as it says so three times in a lease.
//!
//! It comes from a thread and a connection of its own, so that a worker whose threads are all blocked, or whose pool is
//! exhausted, does not count as dead.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::db::{Db, Pool};
use super::held::Held;
use crate::log_target::RUNTIME;

/// How soon a beat is tried again that has failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Beats until it is dropped.
pub(super) struct Beat {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Beat {
    pub(super) fn start(
        db: Arc<Db>,
        held: Arc<Held>,
        worker: String,
        lease: Duration,
    ) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let heart = Heart {
            db,
            held,
            worker,
            every: (lease / 3).max(Duration::from_millis(1)),
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new().name("bg-heartbeat".to_owned());
        let (tell, made) = std::sync::mpsc::sync_channel(1);
        let thread = thread.spawn(move || {
            // Made here, because it may not be dropped where another one runs.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    let _ = tell.send(Ok(()));
                    runtime.block_on(heart.beat());
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
        })?;
        made.recv().map_err(io::Error::other)??;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        self.stop.cancel();
        // It ends by itself within a query, and nothing of it is waited for.
        drop(self.thread.take());
    }
}

struct Heart {
    db: Arc<Db>,
    held: Arc<Held>,
    worker: String,
    every: Duration,
    stop: CancellationToken,
}

enum BeatLine {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqliteConnection),
}

impl Heart {
    async fn beat(self) {
        let mut line = None;
        let mut is_lost = false;
        let mut wait = self.every;
        while self
            .stop
            .run_until_cancelled(tokio::time::sleep(wait))
            .await
            .is_some()
        {
            let rows = self.held.rows();
            if rows.is_empty() {
                wait = self.every;
                continue;
            }
            match timeout(self.every, self.once(&mut line, &rows)).await {
                Ok(Ok(())) => {
                    if std::mem::take(&mut is_lost) {
                        tracing::info!(
                            target: RUNTIME,
                            "the store is reached again: what runs here is kept"
                        );
                    }
                    wait = self.every;
                }
                failed => {
                    line = None;
                    wait = self.every.min(AGAIN);
                    if !std::mem::replace(&mut is_lost, true) {
                        let why = match failed {
                            Ok(Err(error)) => super::failure::text(error),
                            _ => format!("no answer within {:?}", self.every),
                        };
                        tracing::warn!(
                            target: RUNTIME,
                            "the store is not reached, and what runs here may be given to other workers when it is \
                             back: {why}"
                        );
                    }
                }
            }
        }
        if let Some(line) = line {
            line.close().await;
        }
    }

    /// Says that these rows are still worked on, and tells those of them that are somebody else's by now, or that
    /// somebody has cancelled: River tells of that only once, and whoever did not listen then does not hear of it.
    async fn once(&self, line: &mut Option<BeatLine>, rows: &[i64]) -> Result<(), sqlx::Error> {
        let line = match line {
            Some(line) => line,
            None => line.insert(BeatLine::open(&self.db.pool).await?),
        };
        let kept = line.keep(&self.db.sql.jobs, rows, &self.worker).await?;
        let cancelled = kept.iter().filter(|(_, is_cancelled)| *is_cancelled);
        self.held.cancelled(cancelled.map(|(row, _)| *row));
        let kept: HashSet<i64> = kept.into_iter().map(|(row, _)| row).collect();
        let gone = rows.iter().copied().filter(|row| !kept.contains(row));
        for task in self.held.lost(gone) {
            tracing::warn!(
                target: RUNTIME,
                "the task {task} runs here, and was given to another worker: this one was not heard of for too long"
            );
        }
        Ok(())
    }
}

impl BeatLine {
    async fn open(pool: &Pool) -> Result<Self, sqlx::Error> {
        match pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(database) => {
                let options = database.pool().connect_options();
                let connected = sqlx::PgConnection::connect_with(&options).await;
                Ok(Self::Postgres(connected?))
            }
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(pool) => {
                let options = pool.connect_options();
                let connected = sqlx::SqliteConnection::connect_with(&options).await;
                Ok(Self::Sqlite(connected?))
            }
        }
    }

    /// Returns those that are kept, and whether each is to be cancelled: where nobody listens, this is how it is heard.
    async fn keep(
        &mut self,
        jobs: &str,
        rows: &[i64],
        worker: &str,
    ) -> Result<Vec<(i64, bool)>, sqlx::Error> {
        let _ = jobs;
        match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => {
                let sql = format!(
                    "update {jobs} set attempted_at = now() where id = any($1) and state = 'running'
                     and attempted_by[array_upper(attempted_by, 1)] = $2
                     returning id, metadata ? 'cancel_attempted_at'"
                );
                sqlx::query_as(sqlx::AssertSqlSafe(sql))
                    .bind(rows)
                    .bind(worker)
                    .fetch_all(connection)
                    .await
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => {
                let rows: Vec<_> = rows.iter().map(i64::to_string).collect();
                sqlx::query_as(
                    "update river_job set attempted_at = strftime('%Y-%m-%d %H:%M:%f', 'now')
                     where id in (select value from json_each($1)) and state = 'running'
                     and json_extract(attempted_by, '$[#-1]') = $2
                     returning id, json_valid(metadata, 5)
                         and json_extract(metadata, '$.cancel_attempted_at') is not null",
                )
                .bind(format!("[{}]", rows.join(",")))
                .bind(worker)
                .fetch_all(connection)
                .await
            }
        }
    }

    async fn close(self) {
        // Whatever it says, nobody needs the connection any more.
        let _ = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(connection) => connection.close().await,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(connection) => connection.close().await,
        };
    }
}
