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

pub(crate) async fn complete(pool: &PgPool, ids: &[i64]) -> Result<(), sqlx::Error> {
    let sql = "update by_hand set state = 'completed', ended_at = now() where id = any($1)";
    sqlx::query(sql).bind(ids).execute(pool).await?;
    Ok(())
}
