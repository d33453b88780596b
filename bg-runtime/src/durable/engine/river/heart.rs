//! What a heartbeat says to River's tables.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::Connection;

use super::Held;
use super::db::{Db, Pool};
use crate::durable::engine::beat::Heart;

pub(super) struct RiverHeart {
    pub(super) db: Arc<Db>,
    pub(super) held: Arc<Held>,
    /// The name of the worker.
    pub(super) worker: String,
    pub(super) line: Option<BeatLine>,
}

pub(super) enum BeatLine {
    #[cfg(feature = "postgres")]
    Postgres(sqlx::PgConnection),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqliteConnection),
}

impl Heart for RiverHeart {
    fn is_needed(&self) -> bool {
        !self.held.is_empty()
    }

    async fn beat(&mut self) -> Result<(), String> {
        self.once().await.map_err(super::failure::text)
    }

    async fn reconnect(&mut self) {
        self.line = None;
    }

    async fn close(self) {
        if let Some(line) = self.line {
            line.close().await;
        }
    }
}

impl RiverHeart {
    /// Says that these rows are still worked on, and tells those of them that are somebody else's by now, or that
    /// somebody has cancelled: River tells of that only once, and whoever did not listen then does not hear of it.
    async fn once(&mut self) -> Result<(), sqlx::Error> {
        let held = self.held.rows();
        let line = match &mut self.line {
            Some(line) => line,
            line => line.insert(BeatLine::open(&self.db.pool).await?),
        };
        let rows: Vec<_> = held.iter().map(|(row, _)| *row).collect();
        let kept = line.keep(&self.db.sql.jobs, &rows, &self.worker).await?;
        let cancelled = kept.iter().filter(|(_, is_cancelled)| *is_cancelled);
        self.held.cancelled(cancelled.map(|(row, _)| *row));
        let kept: HashSet<i64> = kept.into_iter().map(|(row, _)| row).collect();
        let gone = held.into_iter().filter(|(row, _)| !kept.contains(row));
        self.held.lose(gone);
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
