//! What is asked of tasks from any process: to end, to run again, to be forgotten.

use riverqueue::jiff::Timestamp;

use super::db::{Bind, Db, Pool, fetch, fetch_once};
use super::events;
use super::list::Filter;
use super::wake::{notify, wake_others};
use crate::durable::error::StoreError;
use crate::durable::query::{Obeyed, Order, Query};
use crate::durable::{MOST_LOSSES, StoredState};
use crate::task::TaskId;

/// A task for which an order was obeyed: its row, its state afterwards, its queue, and its id.
pub(super) type Done = (i64, String, String, Option<String>);

pub(super) struct Orders {
    done: Vec<Done>,
}

impl Orders {
    /// Wakes the workers of tasks that are due now.
    pub(super) async fn woken(db: &Db, done: Vec<Done>) -> Result<Self, StoreError> {
        let orders = Self { done };
        wake_others(db, orders.queues()).await?;
        Ok(orders)
    }

    pub(super) fn count(&self) -> u64 {
        self.done.len() as u64
    }

    /// The queues in which tasks wait now.
    pub(super) fn queues(&self) -> impl Iterator<Item = &str> {
        let waiting = self
            .done
            .iter()
            .filter(|(_, state, ..)| state == "available");
        waiting.map(|(_, _, queue, _)| &**queue)
    }
}

pub(super) async fn one(
    db: &Db,
    task: TaskId,
    order: Order,
) -> Result<(Obeyed, Orders), StoreError> {
    let query = Query {
        id: Some(task),
        ..Query::default()
    };
    let orders = all(db, &query, order).await?;
    if let Some((_, state, ..)) = orders.done.first() {
        let obeyed = match (order, &**state) {
            (Order::Cancel, "running") => Obeyed::Told,
            _ => Obeyed::Done,
        };
        return Ok((obeyed, orders));
    }
    let filter = Filter::new(db, &query);
    let sql = format!("select id, kind from {} where {}", db.sql.jobs, filter.sql);
    let found = fetch!(db, (i64, String), sql, filter.binds)?;
    let obeyed = match found.is_empty() {
        true => Obeyed::Unknown,
        false => Obeyed::TooLate,
    };
    Ok((obeyed, orders))
}

/// Obeys for every task that is in a state for it, all at once.
pub(super) async fn all(db: &Db, query: &Query, order: Order) -> Result<Orders, StoreError> {
    let mut filter = Filter::new(db, query);
    let words = &db.sql;
    let jobs = &words.jobs;
    let returning = format!("returning id, {}, queue, {}", words.state, words.task_id);
    let sql = match order {
        Order::Delete => format!(
            "delete from {jobs} where {} and state <> 'running' {returning}",
            filter.sql
        ),
        Order::Cancel => {
            filter.binds.push(Bind::Text(Timestamp::now().to_string()));
            let at = filter.binds.len();
            let (set, state) = match &db.pool {
                #[cfg(feature = "postgres")]
                Pool::Postgres(_) => (
                    format!(
                        "jsonb_set(metadata, '{{cancel_attempted_at}}', to_jsonb(${at}::text))"
                    ),
                    "case when state = 'running' then state else 'cancelled' end",
                ),
                #[cfg(feature = "sqlite")]
                Pool::Sqlite(_) => (
                    format!("jsonb_set(metadata, '$.cancel_attempted_at', ${at})"),
                    "case when state = 'running' then state else 'cancelled' end",
                ),
            };
            format!(
                "update {jobs} set state = {state}, metadata = {set},
                    finalized_at = case when state = 'running' then finalized_at else {} end
                 where {} and state not in ('cancelled', 'completed', 'discarded') {returning}",
                words.now, filter.sql
            )
        }
        Order::Retry => retry(db, query, &filter),
    };
    let done = fetch_once!(db, Done, sql, filter.binds)?;
    let orders = Orders { done };
    match order {
        Order::Cancel => tell_cancelled(db, &orders).await?,
        Order::Retry => wake_others(db, orders.queues()).await?,
        Order::Delete => {}
    }
    Ok(orders)
}

/// A task that has ended begins anew: what has failed before no longer counts.
fn retry(db: &Db, query: &Query, filter: &Filter) -> String {
    let words = &db.sql;
    let jobs = &words.jobs;
    let over = "state in ('cancelled', 'completed', 'discarded')";
    let losses = MOST_LOSSES;
    // Of many at once, those that have completed run again only if they are meant.
    let is_meant = query.id.is_some() || query.state == Some(StoredState::Completed);
    let completed = if is_meant {
        ""
    } else {
        " and state <> 'completed'"
    };
    let retrying = super::row::condition(StoredState::Retrying, words);
    let (metadata, attempts, taken) = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => (
            format!(
                "metadata - 'cancel_attempted_at' || case when {over} and metadata ? 'bg' then jsonb_build_object('bg',
                    metadata->'bg' || jsonb_build_object('since', attempt)) else '{{}}'::jsonb end"
            ),
            format!(
                "least(32767, case when {over} then attempt + coalesce((metadata->'bg'->>'runs')::int, 1) + {losses}
                    else greatest(max_attempts, attempt + 1) end)"
            ),
            "get_bit(other.unique_states, case other.state::text when 'available' then 7 when 'cancelled' then 6
                when 'completed' then 5 when 'discarded' then 4 when 'pending' then 3 when 'retryable' then 2
                when 'running' then 1 else 0 end) = 1",
        ),
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => (
            format!(
                "jsonb_remove(case when {over} and json_type(metadata, '$.bg') = 'object'
                    then jsonb_set(metadata, '$.bg.since', attempt) else metadata end, '$.cancel_attempted_at')"
            ),
            format!(
                "min(32767, case when {over} then attempt + coalesce(json_extract(metadata, '$.bg.runs'), 1) + {losses}
                    else max(max_attempts, attempt + 1) end)"
            ),
            "other.unique_states & (1 << case other.state when 'available' then 0 when 'cancelled' then 1
                when 'completed' then 2 when 'discarded' then 3 when 'pending' then 4 when 'retryable' then 5
                when 'running' then 6 else 7 end) > 0",
        ),
    };
    // Of those that want the same unique value, the newest gets it, unless somebody has it.
    format!(
        "with asked as (
            select id, unique_key, row_number() over (partition by unique_key order by id desc) as place
            from {jobs} where {filter} and (({over}{completed}) or {retrying})
         ), chosen as (
            select asked.id from asked where asked.unique_key is null or (asked.place = 1 and not exists (
                select 1 from {jobs} as other
                where other.unique_key = asked.unique_key and other.id <> asked.id and {taken}))
         )
         update {jobs} set state = 'available', finalized_at = null, scheduled_at = {now}, max_attempts = {attempts},
            metadata = {metadata}
         where id in (select id from chosen) and (({over}{completed}) or {retrying})
         returning id, {state}, queue, {task_id}",
        filter = filter.sql,
        now = words.now,
        state = words.state,
        task_id = words.task_id,
    )
}

/// Tells the workers that run some of them, and whoever waits for the others.
async fn tell_cancelled(db: &Db, orders: &Orders) -> Result<(), StoreError> {
    let mut running = Vec::new();
    let mut ended = Vec::new();
    for (row, state, queue, task) in &orders.done {
        if state == "running" {
            let told = serde_json::json!({"action": "cancel", "job_id": row, "queue": queue});
            running.push(told.to_string());
        } else if let Some(task) = task.as_ref().and_then(|task| task.parse().ok()) {
            ended.push(task);
        }
    }
    notify(
        db,
        riverqueue::protocol::NOTIFICATION_TOPIC_CONTROL,
        &running,
    )
    .await?;
    Ok(events::tell_ended(db, &ended).await?)
}
