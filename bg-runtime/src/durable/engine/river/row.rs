//! A row as others see it: the state, the failures and the times of a task.

use riverqueue::JobState;
use serde::Deserialize;

use super::dialect::{Columns, Dialect};
use super::metadata::{Bg, Metadata, time};
use super::worker::number;
use crate::durable::{Envelope, RunFailure, StoredError, StoredState, TaskStatus};
use crate::task::FailureKind;

/// What River writes as the error of a task that has lost its worker.
pub(super) const RESCUED: &str = "Stuck job rescued by JobRescuer";

/// What it writes as the error of a task that is dead.
const DISCARDED: &str = "job discarded by worker";

/// How the errors of cancelled tasks begin.
const CANCELLED: &str = "JobCancelError: ";

/// What follows for one that somebody cancelled while it ran.
const REMOTELY: &str = "job cancelled remotely";

/// The runs of a task that did not succeed, since somebody has asked for it to run again.
pub(super) struct Losses {
    pub(super) failures: u32,
    pub(super) losses: u32,
}

impl Losses {
    pub(super) fn of<'a>(errors: impl Iterator<Item = (i64, &'a str)>, bg: &Bg) -> Self {
        let since = bg.since.unwrap_or(0);
        let counted = errors.filter(|(attempt, _)| *attempt > since);
        let (losses, failures): (Vec<_>, Vec<_>) =
            counted.partition(|(_, error)| *error == RESCUED);
        Self {
            failures: failures.len().try_into().unwrap_or(u32::MAX),
            losses: losses.len().try_into().unwrap_or(u32::MAX),
        }
    }
}

#[derive(Deserialize)]
struct RiverError {
    at: riverqueue::jiff::Timestamp,
    attempt: i64,
    error: String,
}

pub(super) fn status(columns: Columns) -> TaskStatus {
    let (id, name, state, queue, attempt, max_attempts, arguments, metadata, errors, worker, ..) =
        columns;
    let (.., stored_at, due_at, attempted_at, ended_at) = columns;
    let metadata = Metadata::parse(&metadata, id, max_attempts);
    let errors: Vec<RiverError> = errors
        .and_then(|errors| serde_json::from_str(&errors).ok())
        .unwrap_or_default();
    let mut errors: Vec<_> = errors.iter().map(|error| read(error, &metadata)).collect();
    let due_at = time(due_at);
    let is_later = due_at > std::time::SystemTime::now();
    let state = self::state(&state, is_later, !errors.is_empty());
    let attempt = number(attempt + metadata.snoozes);
    if let Some((at, why)) = metadata.unreadable() {
        StoredError::parse(attempt, time(at), &why).insert_into(&mut errors);
    }
    TaskStatus {
        id: metadata.bg.id,
        name,
        state,
        queue,
        attempt,
        runs: metadata.bg.runs,
        arguments,
        key: metadata.bg.key,
        errors,
        progress: metadata.progress,
        worker,
        stored_at: time(stored_at),
        due_at,
        expires_at: Envelope::from_json(&metadata.bg.envelope).expires_at,
        attempted_at: attempted_at.map(time),
        ended_at: ended_at.map(time),
    }
}

/// What is kept of a run that somebody cancelled.
pub(super) fn cancelled() -> String {
    RunFailure::new(FailureKind::Aborted, "somebody cancelled it").to_string()
}

fn read(error: &RiverError, metadata: &Metadata) -> StoredError {
    let text = match &*error.error {
        RESCUED => RunFailure::new(FailureKind::Lost, "its worker was lost").to_string(),
        DISCARDED => {
            let text = metadata.error(error.attempt);
            text.unwrap_or_else(|| DISCARDED.to_owned())
        }
        text => match text.strip_prefix(CANCELLED) {
            Some(REMOTELY) => cancelled(),
            Some(reason) => reason.to_owned(),
            None => text.to_owned(),
        },
    };
    let at = super::metadata::system_time(error.at);
    StoredError::parse(number(metadata.number_of_run(error.attempt)), at, &text)
}

/// River says `available` of what is due within a second.
fn state(state: &str, is_later: bool, has_failed: bool) -> StoredState {
    match state.parse() {
        Ok(JobState::Running) => StoredState::Running,
        Ok(JobState::Completed) => StoredState::Completed,
        Ok(JobState::Discarded) => StoredState::Dead,
        Ok(JobState::Cancelled) => StoredState::Cancelled,
        Ok(JobState::Retryable) => StoredState::Retrying,
        Ok(JobState::Available) if !is_later => StoredState::Waiting,
        _ if has_failed => StoredState::Retrying,
        _ => StoredState::Scheduled,
    }
}

/// Returns the condition that holds for the rows in a state: the same as [`state`], in SQL.
pub(super) fn condition(state: StoredState, sql: &Dialect) -> String {
    let Dialect { now, errors, .. } = sql;
    let later = |failed| {
        format!(
            "(state in ('scheduled', 'pending') or (state = 'available' and scheduled_at > {now})) and {errors} {failed}"
        )
    };
    match state {
        StoredState::Scheduled => later("= 0"),
        StoredState::Waiting => format!("state = 'available' and scheduled_at <= {now}"),
        StoredState::Running => "state = 'running'".to_owned(),
        StoredState::Retrying => format!("(state = 'retryable' or ({}))", later("> 0")),
        StoredState::Completed => "state = 'completed'".to_owned(),
        StoredState::Dead => "state = 'discarded'".to_owned(),
        StoredState::Cancelled => "state = 'cancelled'".to_owned(),
    }
}
