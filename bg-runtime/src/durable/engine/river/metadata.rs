//! What the rows say besides River's own columns: one object of ours in the metadata of each.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use riverqueue::JobMetadata;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::durable::Stored;
use crate::task::{Progress, TaskId};

/// Where the latest progress is.
pub(super) const PROGRESS: &str = "bg_progress";

/// Where it is said why a worker could not read the task, and when that was.
pub(super) const UNREADABLE: &str = "bg_unreadable";

/// Where the failure of a run is after which the task was dead, by the number of the run: River writes a text of its
/// own into the list of errors.
const ERROR: &str = "bg_error";

pub(super) fn error_key(attempt: i64) -> String {
    format!("{ERROR}:{attempt}")
}

/// How often the task had gone back by the end of a run that did, by the number of the run in River, which gives that
/// number to the next run again.
const RETURNS: &str = "bg_returns";

pub(super) fn returns_key(attempt: i64) -> String {
    format!("{RETURNS}:{attempt}")
}

/// The object under `bg`. What is unknown is ignored, and what is missing has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Bg {
    pub(super) id: TaskId,
    pub(super) runs: u32,
    #[serde(default = "empty")]
    pub(super) envelope: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    /// Until when its unique value stays taken even if the task has ended, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) until: Option<i64>,
    /// The attempt after which somebody asked for the task to run again: failures before it no longer count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<i64>,
}

impl Bg {
    pub(super) fn of(task: &Stored) -> Self {
        let period = task.unique.as_ref().and_then(|unique| unique.period);
        Self {
            id: task.id,
            runs: task.runs,
            envelope: task.envelope.clone(),
            key: task.key.clone(),
            until: period.map(|period| millis(SystemTime::now() + period)),
            since: None,
        }
    }

    /// Of a task that another client of River has stored.
    fn of_another(row: i64, max_attempts: i64) -> Self {
        Self {
            id: id_of_row(row),
            runs: u32::try_from(max_attempts).unwrap_or(1).max(1),
            envelope: empty(),
            key: None,
            until: None,
            since: None,
        }
    }
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("this is JSON")
}

/// The metadata of a row, as far as it is read here.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) bg: Bg,
    /// How often the task went back to the store without using up an attempt.
    pub(super) snoozes: i64,
    pub(super) progress: Option<Progress>,
    fields: HashMap<String, Box<RawValue>>,
}

impl Metadata {
    pub(super) fn of_row(row: &riverqueue::JobRow) -> Self {
        let raw: &JobMetadata = &row.metadata;
        Self::parse(raw.as_raw().get(), row.id, row.max_attempts.into())
    }

    pub(super) fn parse(json: &str, row: i64, max_attempts: i64) -> Self {
        let fields: HashMap<String, Box<RawValue>> = serde_json::from_str(json).unwrap_or_default();
        let bg = get(&fields, "bg").unwrap_or_else(|| Bg::of_another(row, max_attempts));
        let progress = get::<(u64, u64, String)>(&fields, PROGRESS);
        Self {
            bg,
            snoozes: get(&fields, "snoozes").unwrap_or_default(),
            progress: progress.map(|(done, total, message)| Progress::new(done, total, message)),
            fields,
        }
    }

    /// Returns the number by which the task knew a run that is River's of this number, and that did not go back.
    pub(super) fn number_of_run(&self, attempt: i64) -> i64 {
        let keys = self.fields.keys();
        let earlier = keys.filter_map(|key| {
            let of: i64 = key.strip_prefix(RETURNS)?.strip_prefix(':')?.parse().ok()?;
            (of <= attempt).then_some(of)
        });
        let returns = earlier
            .max()
            .and_then(|of| get(&self.fields, &returns_key(of)));
        attempt + returns.unwrap_or(0_i64)
    }

    pub(super) fn unreadable(&self) -> Option<(i64, String)> {
        get(&self.fields, UNREADABLE)
    }

    pub(super) fn error(&self, attempt: i64) -> Option<String> {
        get(&self.fields, &error_key(attempt))
    }
}

fn get<T: for<'de> Deserialize<'de>>(
    fields: &HashMap<String, Box<RawValue>>,
    name: &str,
) -> Option<T> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

/// The ids of tasks that other clients of River have stored: a UUID that says the row.
const OF_ROW: &str = "00000000-0000-8000-8000-";

fn id_of_row(row: i64) -> TaskId {
    // The last group of a UUID is 48 bits long; the rows of no table are numbered beyond.
    let row = row.unsigned_abs() & 0xFFFF_FFFF_FFFF;
    let text = format!("{OF_ROW}{row:012x}");
    text.parse().expect("this is a UUID")
}

/// Returns the row of a task that another client of River has stored.
pub(super) fn row_of_id(task: TaskId) -> Option<i64> {
    let text = task.to_string();
    i64::from_str_radix(text.strip_prefix(OF_ROW)?, 16).ok()
}

pub(super) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(millis.max(0).unsigned_abs());
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// Returns the time of a row, which is never before 1970.
pub(super) fn system_time(time: riverqueue::jiff::Timestamp) -> SystemTime {
    self::time(time.as_millisecond())
}
