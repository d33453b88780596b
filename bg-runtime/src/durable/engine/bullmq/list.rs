//! Looking at tasks: pages, counts, and how long the oldest wait.

use std::sync::Arc;
use std::time::Duration;

use super::Common;
use super::failure::store_error;
use super::fields::{self, Fields, JobKey, status};
use super::scripts::call;
use crate::durable::StoredState;
use crate::durable::engine::{Left, Tally};
use crate::durable::error::StoreError;
use crate::durable::query::{Found, Query, Row};

/// How many rows one step looks at.
const STEP: u32 = 500;

/// A task that was found.
pub(super) struct SeenJob {
    pub(super) job: JobKey,
    pub(super) state: StoredState,
    pub(super) fields: Fields,
}

/// What one step has found, newest first.
pub(super) struct ListPart {
    pub(super) seen: Vec<SeenJob>,
    /// Behind which row the next step begins. `None` if this was the last.
    pub(super) next: Option<Row>,
}

/// Looks at some rows.
pub(super) async fn step(
    shared: &Common,
    query: &Query,
    after: Option<Row>,
    most: u32,
    is_brief: bool,
) -> Result<ListPart, StoreError> {
    let (name, begin) = match query
        .name
        .as_deref()
        .map(|name| (name, name.strip_suffix('*')))
    {
        Some((_, Some(begin))) => ("", begin),
        Some((name, None)) => (name, ""),
        None => ("", ""),
    };
    let mut script = call(&shared.prefix, |scripts| &scripts.look);
    script
        .arg(after.map_or("+inf".to_owned(), |row| row.to_string()))
        .arg(STEP)
        .arg(most)
        .arg(
            query
                .state
                .map(|state| state.to_string())
                .unwrap_or_default(),
        )
        .arg(name)
        .arg(begin)
        .arg(query.queue.as_deref().unwrap_or_default())
        .arg(query.key.as_deref().unwrap_or_default())
        .arg(if is_brief { "1" } else { "" })
        .arg(query.id.map(|id| id.to_string()).unwrap_or_default());
    let answer = shared.link.run_again(&script).await;
    let answer: (String, Vec<(String, String, String, Fields)>) =
        answer.map_err(|error| store_error(error, shared.limit))?;
    let (last, found) = answer;
    let seen = found.into_iter().map(|(queue, id, state, fields)| SeenJob {
        job: JobKey {
            queue: Arc::from(queue),
            id,
        },
        state: fields::state(&state),
        fields,
    });
    Ok(ListPart {
        seen: seen.collect(),
        next: last.parse().ok(),
    })
}

pub(super) async fn list(
    shared: &Common,
    query: &Query,
    after: Option<Row>,
    limit: u32,
) -> Result<Found, StoreError> {
    let (mut found, mut after) = (Vec::new(), after);
    loop {
        // One more says whether there is another page.
        let room = (limit as usize + 1).saturating_sub(found.len());
        let most = u32::try_from(room).unwrap_or(u32::MAX);
        let step = step(shared, query, after, most, false).await?;
        found.extend(step.seen);
        match step.next {
            Some(next) if found.len() <= limit as usize => after = Some(next),
            _ => break,
        }
    }
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| has_more);
    let next = last.and_then(|seen| seen.fields.get("#row")?.parse().ok());
    let tasks = found.iter();
    let tasks = tasks.map(|seen| status(&seen.job, seen.state, &seen.fields));
    Ok(Found {
        tasks: tasks.collect(),
        next,
    })
}

pub(super) async fn counts(
    shared: &Common,
    query: &Query,
) -> Result<Vec<(StoredState, u64)>, StoreError> {
    let mut counts = std::collections::BTreeMap::new();
    if *query == Query::default() {
        for queue in tally(shared).await? {
            for (state, tasks) in queue.states() {
                *counts.entry(state).or_insert(0) += tasks;
            }
        }
        return Ok(counts.into_iter().collect());
    }
    let mut after = None;
    loop {
        let step = step(shared, query, after, STEP, true).await?;
        for seen in &step.seen {
            *counts.entry(seen.state).or_insert(0) += 1;
        }
        match step.next {
            Some(next) => after = Some(next),
            None => return Ok(counts.into_iter().collect()),
        }
    }
}

/// What a queue has: its name, how many tasks in each state, and for how many ms its oldest one is due.
struct QueueTally {
    queue: String,
    tasks: Vec<i64>,
    oldest: String,
}

impl QueueTally {
    /// Returns the states that tasks are in, with how many.
    fn states(&self) -> impl Iterator<Item = (StoredState, u64)> {
        let states = StoredState::ALL.into_iter().zip(&self.tasks);
        states.filter_map(|(state, tasks)| match u64::try_from(*tasks) {
            Ok(tasks @ 1..) => Some((state, tasks)),
            _ => None,
        })
    }
}

async fn tally(shared: &Common) -> Result<Vec<QueueTally>, StoreError> {
    let script = call(&shared.prefix, |scripts| &scripts.tally);
    let answer = shared.link.run_again(&script).await;
    let answer: Vec<(String, Vec<i64>, String)> =
        answer.map_err(|error| store_error(error, shared.limit))?;
    let queues = answer.into_iter();
    let queues = queues.map(|(queue, tasks, oldest)| QueueTally {
        queue,
        tasks,
        oldest,
    });
    Ok(queues.collect())
}

pub(super) async fn tallies(shared: &Common) -> Result<Vec<Tally>, StoreError> {
    let mut tallies = Vec::new();
    for queue in tally(shared).await? {
        let states = queue.states();
        let told = states
            .filter(|(state, _)| !matches!(state, StoredState::Completed | StoredState::Cancelled));
        tallies.extend(told.map(|(state, tasks)| Tally {
            queue: queue.queue.clone(),
            state,
            tasks,
        }));
    }
    Ok(tallies)
}

pub(super) async fn oldest(shared: &Common) -> Result<Vec<(String, Duration)>, StoreError> {
    let queues = tally(shared).await?.into_iter();
    let oldest = queues.filter_map(|queue| {
        let waited = queue.oldest.parse().ok().map(Duration::from_millis)?;
        Some((queue.queue, waited))
    });
    let mut oldest: Vec<_> = oldest.collect();
    oldest.sort_unstable();
    Ok(oldest)
}

pub(super) async fn unknown_names(
    shared: &Common,
    known: &[&str],
) -> Result<Vec<(String, u64)>, StoreError> {
    const MOST: usize = 20;
    let mut script = call(&shared.prefix, |scripts| &scripts.unknown);
    script.arg(known);
    let unknown = shared.link.run_again(&script).await;
    let mut unknown: Vec<(String, u64)> =
        unknown.map_err(|error| store_error(error, shared.limit))?;
    unknown.sort_unstable();
    unknown.truncate(MOST);
    Ok(unknown)
}

/// What workers run that were not heard of for so long, if their leases are as long as this one's.
pub(super) async fn left(shared: &Common, silent_for: Duration) -> Result<Vec<Left>, StoreError> {
    let mut script = call(&shared.prefix, |scripts| &scripts.left);
    script.arg(fields::wait(shared.lease.saturating_sub(silent_for)));
    let left = shared.link.run_again(&script).await;
    let left: Vec<(String, String, u64)> =
        left.map_err(|error| store_error(error, shared.limit))?;
    let mut left: Vec<_> = left
        .into_iter()
        .map(|(worker, name, tasks)| Left {
            worker,
            name,
            tasks,
        })
        .collect();
    left.sort_unstable();
    Ok(left)
}
