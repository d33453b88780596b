//! Finding out what a pooler between this process and PostgreSQL, as PgBouncer, takes away.

use std::time::Duration;

use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, Row};

use super::postgres::listener;
use crate::log_target::RUNTIME;

/// Returns whether each transaction may get another connection to the server, as behind a pooler in its transaction
/// mode: what was set in one is not there in the next, or is on a connection that has not set it.
///
/// To listen there is worse than in vain. It is the connection to the server that listens, so a notification comes in
/// the middle of what somebody else asks, and sqlx takes it for an error.
pub(super) async fn is_shared(
    first: &mut PgConnection,
    pool: &PgPool,
) -> Result<bool, sqlx::Error> {
    const GET: &str = "select coalesce(current_setting('bg.session', true), '')";
    async fn ask(sql: String, of: impl PgExecutor<'_>) -> Result<String, sqlx::Error> {
        // Not prepared, which is the next thing that such a pooler may get in the way of.
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(of).await?;
        row.try_get(0)
    }
    // Others use it as well, and may change by chance which connection is given to whom.
    for _ in 0..3 {
        let mark = format!("{:x}", fastrand::u64(..));
        let set = format!("select set_config('bg.session', '{mark}', false)");
        ask(set, &mut *first).await?;
        if ask(GET.to_owned(), pool).await? == mark
            || ask(GET.to_owned(), &mut *first).await? != mark
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks whether two clients that call their statements the same, as those of sqlx do, each get their own. Where they do
/// not, the error may come much later, or a statement of somebody else is run instead.
pub(super) async fn keeps_statements(
    first: &mut PgConnection,
    pool: &PgPool,
) -> Result<(), Option<sqlx::Error>> {
    let mut other = pool.acquire().await.map_err(Some)?;
    for round in [0, 1, 2, 0, 1, 2] {
        for (who, connection) in [("first", &mut *first), ("other", &mut *other)] {
            let expected = format!("{who} {round}");
            let sql = AssertSqlSafe(format!("select '{expected}'"));
            let answer: String = sqlx::query_scalar(sql)
                .fetch_one(connection)
                .await
                .map_err(Some)?;
            if answer != expected {
                return Err(None);
            }
        }
    }
    Ok(())
}

/// Tells of a pooler that takes notifications away, though it keeps sessions.
pub(super) async fn warn_if_deaf(pool: PgPool, channel: String, store: String) {
    const WAIT: Duration = Duration::from_secs(3);
    let heard = async {
        let mut listener = listener(&pool, &[&channel]).await?;
        sqlx::query("select pg_notify($1, '')")
            .bind(&channel)
            .execute(&pool)
            .await?;
        let heard = tokio::time::timeout(WAIT, listener.recv()).await;
        Ok::<_, sqlx::Error>(heard.is_ok())
    };
    // Whatever else goes wrong here is told of by who needs it.
    if let Ok(false) = heard.await {
        tracing::warn!(
            target: RUNTIME,
            "{store} does not pass notifications on: workers look for tasks once in a second, and outcomes reach other \
             processes after up to 5 seconds",
        );
    }
}
