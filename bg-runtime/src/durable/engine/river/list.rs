//! Looking at tasks: pages, counts, and how long the oldest wait.

use std::time::Duration;

use super::db::{Bind, Db, Pool, fetch};
use super::dialect::Columns;
use super::metadata::row_of_id;
use super::row;
use crate::durable::StoredState;
use crate::durable::engine::{Left, Tally};
use crate::durable::error::StoreError;
use crate::durable::query::{Found, Query, Row};

/// The condition of a query, and its parameters. Only what this crate has stored is ever meant, but for a single task
/// by its id: the tables may belong to other clients of River as well.
pub(super) struct Filter {
    pub(super) sql: String,
    pub(super) binds: Vec<Bind>,
}

impl Filter {
    pub(super) fn new(db: &Db, query: &Query) -> Self {
        let mut filter = Self {
            sql: String::new(),
            binds: Vec::new(),
        };
        let words = &db.sql;
        match query.id.map(|id| (id, row_of_id(id))) {
            Some((_, Some(row))) => filter.and("id = ", Bind::Int(row)),
            Some((id, None)) => {
                filter.and(&format!("{} = ", words.task_id), Bind::Text(id.to_string()));
            }
            None => filter.sql = format!("{} is not null", words.task_id),
        }
        if let Some(state) = query.state {
            filter.sql += &format!(" and ({})", row::condition(state, words));
        }
        match query
            .name
            .as_deref()
            .map(|name| (name, name.strip_suffix('*')))
        {
            Some((_, Some(begin))) => {
                let at = filter.binds.len() + 1;
                filter.and(
                    &format!("substr(kind, 1, length(${at})) = "),
                    Bind::Text(begin.to_owned()),
                );
            }
            Some((name, None)) => filter.and("kind = ", Bind::Text(name.to_owned())),
            None => {}
        }
        if let Some(queue) = &query.queue {
            filter.and("queue = ", Bind::Text(queue.clone()));
        }
        if let Some(key) = &query.key {
            filter.and(&format!("{} = ", words.key), Bind::Text(key.clone()));
        }
        filter
    }

    pub(super) fn and(&mut self, begin: &str, bind: Bind) {
        self.binds.push(bind);
        let and = if self.sql.is_empty() { "" } else { " and " };
        self.sql += &format!("{and}{begin}${}", self.binds.len());
    }
}

pub(super) async fn list(
    db: &Db,
    query: &Query,
    after: Option<Row>,
    limit: u32,
) -> Result<Found, StoreError> {
    let mut filter = Filter::new(db, query);
    if let Some(after) = after {
        filter.and("id < ", Bind::Int(after));
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let sql = format!(
        "select {} from {} where {} order by id desc limit {}",
        db.sql.columns,
        db.sql.jobs,
        filter.sql,
        // One more tells whether there is a next page.
        limit.saturating_add(1).min(100_001),
    );
    let mut rows = fetch!(db, Columns, sql, filter.binds)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Found {
        next: rows.last().filter(|_| more).map(|row| row.0),
        tasks: rows.into_iter().map(row::status).collect(),
    })
}

pub(super) async fn counts(db: &Db, query: &Query) -> Result<Vec<(StoredState, u64)>, StoreError> {
    let filter = Filter::new(db, query);
    let states = StoredState::ALL.iter().enumerate();
    let cases = states.map(|(at, state)| {
        let condition = row::condition(*state, &db.sql);
        format!(" when {condition} then {at}")
    });
    let sql = format!(
        "select cast(case{} end as bigint), count(*) from {} where {} group by 1",
        cases.collect::<String>(),
        db.sql.jobs,
        filter.sql
    );
    let rows = fetch!(db, (Option<i64>, i64), sql, filter.binds)?;
    let counts = rows.into_iter().filter_map(|(at, count)| {
        let state = StoredState::ALL.get(usize::try_from(at?).ok()?)?;
        Some((*state, count.unsigned_abs()))
    });
    let mut counts: Vec<_> = counts.collect();
    counts.sort();
    Ok(counts)
}

pub(super) async fn oldest(db: &Db) -> Result<Vec<(String, Duration)>, StoreError> {
    let sql = format!(
        "select queue, max({}) from {} where state = 'available' and scheduled_at <= {} group by queue order by queue",
        db.sql.waited, db.sql.jobs, db.sql.now
    );
    let rows = fetch!(db, (String, i64), sql, Vec::new())?;
    let rows = rows
        .into_iter()
        .map(|(queue, waited)| (queue, Duration::from_millis(waited.max(0).unsigned_abs())));
    Ok(rows.collect())
}

/// How many tasks each queue has in each state but those that are final, and how many are dead.
pub(super) async fn tallies(db: &Db) -> Result<Vec<Tally>, StoreError> {
    let states = StoredState::ALL.iter().enumerate();
    let cases = states.map(|(at, state)| {
        let condition = row::condition(*state, &db.sql);
        format!(" when {condition} then {at}")
    });
    let sql = format!(
        "select queue, cast(case{} end as bigint), count(*) from {} where {} is not null
            and state not in ('completed', 'cancelled') group by 1, 2",
        cases.collect::<String>(),
        db.sql.jobs,
        db.sql.task_id
    );
    let rows = fetch!(db, (String, Option<i64>, i64), sql, Vec::new())?;
    let tallies = rows.into_iter().filter_map(|(queue, at, tasks)| {
        let state = *StoredState::ALL.get(usize::try_from(at?).ok()?)?;
        let tasks = tasks.unsigned_abs();
        Some(Tally {
            queue,
            state,
            tasks,
        })
    });
    Ok(tallies.collect())
}

/// The names of tasks that wait and that are none of these, with how many there are.
pub(super) async fn unknown_names(
    db: &Db,
    known: &[&str],
) -> Result<Vec<(String, u64)>, StoreError> {
    let names = match &db.pool {
        #[cfg(feature = "postgres")]
        Pool::Postgres(_) => super::due::POSTGRES_IDS,
        #[cfg(feature = "sqlite")]
        Pool::Sqlite(_) => super::due::SQLITE_IDS,
    };
    let sql = format!(
        "select kind, count(*) from {} where {} is not null and state in ('available', 'scheduled', 'retryable')
            and kind not in ({names}) group by kind order by kind limit 20",
        db.sql.jobs, db.sql.task_id
    );
    let known = Bind::Text(serde_json::to_string(known).unwrap_or_default());
    let rows = fetch!(db, (String, i64), sql, vec![known])?;
    let rows = rows
        .into_iter()
        .map(|(name, tasks)| (name, tasks.unsigned_abs()));
    Ok(rows.collect())
}

/// What workers run that were not heard of for so long.
pub(super) async fn left(db: &Db, silent_for: Duration) -> Result<Vec<Left>, StoreError> {
    let words = &db.sql;
    let sql = format!(
        "select coalesce({}, ''), kind, count(*) from {} where {} is not null and state = 'running' and {} >= $1
            group by 1, 2 order by 1, 2 limit 20",
        words.worker, words.jobs, words.task_id, words.silent
    );
    let silent_for = i64::try_from(silent_for.as_millis()).unwrap_or(i64::MAX);
    let rows = fetch!(db, (String, String, i64), sql, vec![Bind::Int(silent_for)])?;
    let left = rows.into_iter().map(|(worker, name, tasks)| Left {
        worker,
        name,
        tasks: tasks.unsigned_abs(),
    });
    Ok(left.collect())
}
