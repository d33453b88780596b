//! The database, once it is open.

#[cfg(feature = "postgres")]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use riverqueue::{Client, ClientBuilder};

use super::dialect::Dialect;
use super::kinds::Rename;
#[cfg(feature = "postgres")]
use super::wake::Bell;
use crate::durable::engine::ears::Ears;

/// How long is waited for a free connection, or for a lost one to come back: shorter than a store may take, so that
/// what was not reached is known to be so.
pub(super) const ACQUIRE: Duration = Duration::from_secs(3);

/// The shortest time between two fetches, and between two notifications, that River allows.
pub(super) const COOLDOWN: Duration = Duration::from_millis(1);

#[derive(Clone)]
pub(super) enum Pool {
    #[cfg(feature = "postgres")]
    Postgres(riverqueue::database::PostgresDatabase),
    #[cfg(feature = "sqlite")]
    Sqlite(sqlx::SqlitePool),
}

impl Pool {
    pub(super) fn client(&self) -> ClientBuilder {
        let client = match self {
            #[cfg(feature = "postgres")]
            Self::Postgres(database) => Client::builder(database),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Client::builder(pool),
        };
        client.fetch_cooldown(COOLDOWN)
    }
}

pub(super) struct Db {
    pub(super) pool: Pool,
    pub(super) sql: Dialect,
    #[cfg(feature = "postgres")]
    pub(super) bell: Arc<Bell>,
    /// The table of tasks, as it was at the start.
    #[cfg(feature = "postgres")]
    pub(super) table: Option<super::postgres::Table>,
    /// Whether who listens on a connection hears anything.
    #[cfg(feature = "postgres")]
    pub(super) hears: bool,
    pub(super) ears: Ears,
    /// Who stores. Several, because each of them tells workers of a queue once in a [`COOLDOWN`] only: what it stores
    /// meanwhile would wait for their next poll.
    clients: Vec<Client>,
    next: AtomicUsize,
}

impl Db {
    pub(super) fn new(pool: Pool, sql: Dialect) -> Result<Self, riverqueue::Error> {
        let clients = match &pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(_) => 8,
            // Workers of other processes poll anyway.
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => 1,
        };
        let clients = (0..clients).map(|_| pool.client().insert_middleware(Rename).build());
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            pool,
            sql,
            #[cfg(feature = "postgres")]
            bell: Arc::default(),
            #[cfg(feature = "postgres")]
            table: None,
            #[cfg(feature = "postgres")]
            hears: true,
            ears: Ears::default(),
            next: AtomicUsize::new(0),
        })
    }

    /// Notes which table the tasks are in.
    #[cfg(feature = "postgres")]
    pub(super) fn with_table(self, table: super::postgres::Table) -> Self {
        Self {
            table: Some(table),
            ..self
        }
    }

    /// Notes that nobody may listen, as behind a pooler that gives each transaction another connection.
    #[cfg(feature = "postgres")]
    pub(super) fn deaf(self) -> Self {
        Self {
            hears: false,
            ..self
        }
    }

    /// Closes the connections that nobody uses. Those who do may go on, and open others.
    #[cfg(feature = "postgres")]
    pub(super) fn close_unused(&self) {
        match &self.pool {
            #[cfg(feature = "postgres")]
            Pool::Postgres(database) => {
                while let Some(mut unused) = database.pool().try_acquire() {
                    unused.close_on_drop();
                }
            }
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => {}
        }
    }

    /// Returns a client that works.
    pub(super) fn worker(&self) -> ClientBuilder {
        let client = self.pool.client();
        #[cfg(feature = "postgres")]
        if !self.hears {
            return client.without_notifications();
        }
        client
    }

    /// Returns a channel of PostgreSQL, which is named for the schema as well.
    #[cfg(feature = "postgres")]
    pub(super) fn channel(&self, topic: &str) -> String {
        let schema = match &self.pool {
            Pool::Postgres(database) => database.schema().as_deref(),
            #[cfg(feature = "sqlite")]
            Pool::Sqlite(_) => None,
        };
        format!("{}.{topic}", schema.unwrap_or_default())
    }

    /// Returns a client that runs nothing.
    pub(super) fn client(&self) -> &Client {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        &self.clients[next % self.clients.len()]
    }
}

/// A parameter of a query.
#[derive(Debug, Clone)]
pub(super) enum Bind {
    Int(i64),
    Text(String),
}

/// How many connections of a pool may have been cut before a query finds one that was not.
#[cfg(feature = "postgres")]
pub(super) const CUT: usize = 10;

/// Returns a connection that was there a moment ago, for what may not run twice.
#[cfg(feature = "postgres")]
pub(super) async fn alive(
    pool: &sqlx::PgPool,
) -> Result<sqlx::pool::PoolConnection<sqlx::Postgres>, sqlx::Error> {
    let mut tries = 0;
    loop {
        let mut connection = pool.acquire().await?;
        match sqlx::Connection::ping(&mut *connection).await {
            Err(error) if super::failure::is_cut(&error) && tries < CUT => {
                connection.close_on_drop();
                tries += 1;
            }
            answered => return answered.map(|()| connection),
        }
    }
}

/// Runs a query with its parameters and returns its rows, on either database. It may run more than once.
macro_rules! fetch {
    ($db:expr, $row:ty, $sql:expr, $binds:expr) => {{
        let sql: std::sync::Arc<str> = std::sync::Arc::from($sql);
        let binds: Vec<$crate::durable::engine::river::db::Bind> = $binds;
        let rows: Result<Vec<$row>, sqlx::Error> = match &$db.pool {
            #[cfg(feature = "postgres")]
            $crate::durable::engine::river::db::Pool::Postgres(database) => {
                let mut tries = 0;
                loop {
                    let (sql, binds) = (sql.clone(), binds.clone());
                    match $crate::durable::engine::river::db::ask!(
                        $row,
                        sql,
                        binds,
                        database.pool()
                    ) {
                        Err(error)
                            if $crate::durable::engine::river::failure::is_cut(&error)
                                && tries < $crate::durable::engine::river::db::CUT =>
                        {
                            tries += 1;
                        }
                        rows => break rows,
                    }
                }
            }
            #[cfg(feature = "sqlite")]
            $crate::durable::engine::river::db::Pool::Sqlite(pool) => {
                $crate::durable::engine::river::db::ask!($row, sql, binds, pool)
            }
        };
        rows
    }};
}

/// As [`fetch`], of what may not run twice because its rows say what it has done.
macro_rules! fetch_once {
    ($db:expr, $row:ty, $sql:expr, $binds:expr) => {{
        let (sql, binds): (String, Vec<$crate::durable::engine::river::db::Bind>) = ($sql, $binds);
        let rows: Result<Vec<$row>, sqlx::Error> = match &$db.pool {
            #[cfg(feature = "postgres")]
            $crate::durable::engine::river::db::Pool::Postgres(database) => {
                match $crate::durable::engine::river::db::alive(database.pool()).await {
                    Ok(mut connection) => {
                        $crate::durable::engine::river::db::ask!($row, sql, binds, &mut *connection)
                    }
                    Err(error) => Err(error),
                }
            }
            #[cfg(feature = "sqlite")]
            $crate::durable::engine::river::db::Pool::Sqlite(pool) => {
                $crate::durable::engine::river::db::ask!($row, sql, binds, pool)
            }
        };
        rows
    }};
}

macro_rules! ask {
    ($row:ty, $sql:expr, $binds:expr, $of:expr) => {{
        let query = sqlx::query_as::<_, $row>(sqlx::AssertSqlSafe($sql));
        $crate::durable::engine::river::db::bound!(query, $binds)
            .fetch_all($of)
            .await
    }};
}

macro_rules! bound {
    ($query:expr, $binds:expr) => {{
        let mut query = $query;
        for bind in $binds {
            query = match bind {
                $crate::durable::engine::river::db::Bind::Int(number) => query.bind(number),
                $crate::durable::engine::river::db::Bind::Text(text) => query.bind(text),
            };
        }
        query
    }};
}

pub(super) use {ask, bound, fetch, fetch_once};
