//! What one writes without a library: a table, `FOR UPDATE SKIP LOCKED`, and `NOTIFY`.

use bg_runtime::sqlx::types::Json;
use bg_runtime::sqlx::{self, PgPool};
use serde::Deserialize;

#[derive(Deserialize)]
pub(crate) struct Payload {
    pub(crate) number: u64,
}

pub(crate) async fn create(pool: &PgPool) -> Result<(), sqlx::Error> {
    let sql = "create table if not exists by_hand (
                   id bigserial primary key, name text not null, payload jsonb not null,
                   state text not null default 'waiting', attempts integer not null default 0, created_at timestamptz not null default now(),
                   begun_at timestamptz, ended_at timestamptz);
               create index if not exists by_hand_waiting on by_hand (id) where state = 'waiting';
               truncate by_hand";
    sqlx::raw_sql(sql).execute(pool).await?;
    Ok(())
}

pub(crate) async fn insert(pool: &PgPool, number: i64) -> Result<(), sqlx::Error> {
    let sql =
        "insert into by_hand (name, payload) values ($1, jsonb_build_object('number', $2::bigint))";
    sqlx::query(sql)
        .bind("noop")
        .bind(number)
        .execute(pool)
        .await?;
    Ok(())
}

/// An insert that tells the worker, in one round trip.
pub(crate) async fn insert_and_notify(pool: &PgPool, number: i64) -> Result<(), sqlx::Error> {
    let sql = "with stored as (
                   insert into by_hand (name, payload) values ($1, jsonb_build_object('number', $2::bigint)) returning id)
               select pg_notify('by_hand', id::text) from stored";
    sqlx::query(sql)
        .bind("noop")
        .bind(number)
        .execute(pool)
        .await?;
    Ok(())
}

pub(crate) async fn insert_many(pool: &PgPool, tasks: i64) -> Result<(), sqlx::Error> {
    let sql = "insert into by_hand (name, payload)
               select 'noop', jsonb_build_object('number', number) from generate_series(1, $1) as number";
    sqlx::query(sql).bind(tasks).execute(pool).await?;
    Ok(())
}

/// Claims what waits, with what is needed to run it.
pub(crate) async fn claim(
    pool: &PgPool,
    most: i64,
) -> Result<Vec<(i64, String, Json<Payload>)>, sqlx::Error> {
    let sql = "update by_hand set state = 'running', attempts = attempts + 1, begun_at = now() where id in (
                   select id from by_hand where state = 'waiting' order by id limit $1 for update skip locked)
               returning id, name, payload";
    sqlx::query_as(sql).bind(most).fetch_all(pool).await
}

/// Records one, as a worker does whose tasks end one by one.
pub(crate) async fn complete_one(pool: &PgPool, id: i64) -> Result<(), sqlx::Error> {
    let sql = "update by_hand set state = 'completed', ended_at = now() where id = $1";
    sqlx::query(sql).bind(id).execute(pool).await?;
    Ok(())
}

/// What River writes for a task at least, on its table in that schema: more cannot be drained through it.
pub(crate) async fn claim_of_river(
    pool: &PgPool,
    most: i64,
    schema: &str,
) -> Result<Vec<i64>, sqlx::Error> {
    let sql = format!(
        "with locked as (
             select id from {schema}.river_job where state = 'available' and queue = 'default' and scheduled_at <= now()
             order by priority, scheduled_at, id limit $1 for update skip locked)
         update {schema}.river_job as job set state = 'running', attempt = attempt + 1, attempted_at = now(),
             attempted_by = array_append(attempted_by, 'by hand')
         from locked where job.id = locked.id returning job.id, job.kind, job.args, job.metadata"
    );
    let rows: Vec<(i64, String, Json<Payload>, Json<serde_json::Value>)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(most)
            .fetch_all(pool)
            .await?;
    Ok(rows.into_iter().map(|(id, ..)| id).collect())
}

pub(crate) async fn complete_of_river(
    pool: &PgPool,
    ids: &[i64],
    schema: &str,
) -> Result<(), sqlx::Error> {
    let sql = format!(
        "update {schema}.river_job set state = 'completed', finalized_at = now() where id = any($1) and state = 'running'"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(ids)
        .execute(pool)
        .await?;
    Ok(())
}

pub(crate) async fn complete(pool: &PgPool, ids: &[i64]) -> Result<(), sqlx::Error> {
    let sql = "update by_hand set state = 'completed', ended_at = now() where id = any($1)";
    sqlx::query(sql).bind(ids).execute(pool).await?;
    Ok(())
}
