//! What is in the hash of a task: BullMQ's fields, and ours, which begin with `#`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

use crate::durable::{Envelope, Stored, StoredError, StoredState, TaskStatus};
use crate::task::{Progress, TaskId};

/// A job of BullMQ, which is a task: its queue, and its id there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct JobKey {
    pub(super) queue: Arc<str>,
    pub(super) id: String,
}

impl JobKey {
    /// Returns the id of the task. What other clients of BullMQ have stored has one that is made of its name.
    pub(super) fn task(&self) -> TaskId {
        self.id.parse().unwrap_or_else(|_| {
            let hash = Sha256::digest(format!("{}:{}", self.queue, self.id));
            let hex: String = hash
                .iter()
                .take(16)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let (a, b, c, d, e) = (
                &hex[..8],
                &hex[8..12],
                &hex[13..16],
                &hex[17..20],
                &hex[20..],
            );
            let uuid = format!("{a}-{b}-8{c}-8{d}-{e}");
            uuid.parse().unwrap_or_else(|_| TaskId::next())
        })
    }
}

/// The object in front of the arguments. It travels with the claim, so that a first run asks for nothing more. No
/// parameter begins with a `#`.
const BG: &str = "#bg";

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BgMember {
    pub(super) runs: u32,
    #[serde(default = "empty")]
    pub(super) envelope: Box<RawValue>,
    /// Whether BullMQ's client, which reads the arguments as a value, would change a number in them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) raw: bool,
}

fn empty() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("this is JSON")
}

/// Returns the `data` of a task: its arguments as they are, with the object of ours in front.
pub(super) fn data(task: &Stored) -> String {
    let bg = BgMember {
        runs: task.runs,
        envelope: task.envelope.clone(),
        raw: has_long_numbers(task.arguments.get()),
    };
    let bg = serde_json::to_string(&bg).unwrap_or_default();
    let arguments = task.arguments.get().trim();
    let rest = arguments.strip_prefix('{').unwrap_or("}").trim_start();
    let comma = if rest == "}" { "" } else { "," };
    format!("{{\"{BG}\":{bg}{comma}{rest}")
}

/// Reads `data`: the object of ours, and the arguments.
pub(super) fn split(data: &str) -> (Option<BgMember>, Box<RawValue>) {
    let begin = format!("{{\"{BG}\":");
    let whole = || RawValue::from_string(data.to_owned()).unwrap_or_else(|_| empty());
    let Some(rest) = data.strip_prefix(&*begin) else {
        return (None, whole());
    };
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<BgMember>();
    let Some(Ok(bg)) = values.next() else {
        return (None, whole());
    };
    let rest = rest[values.byte_offset()..].trim_start();
    let arguments = format!("{{{}", rest.strip_prefix(',').unwrap_or(rest));
    let arguments = RawValue::from_string(arguments);
    (Some(bg), arguments.unwrap_or_else(|_| empty()))
}

/// As [`split`], of what BullMQ's client has read.
pub(super) fn split_value(data: &serde_json::Value) -> (Option<BgMember>, Box<RawValue>) {
    let serde_json::Value::Object(members) = data else {
        return (None, to_raw_value(data).unwrap_or_else(|_| empty()));
    };
    let bg = members
        .get(BG)
        .and_then(|bg| BgMember::deserialize(bg).ok());
    let mut arguments = members.clone();
    arguments.remove(BG);
    (bg, to_raw_value(&arguments).unwrap_or_else(|_| empty()))
}

/// Returns whether a number in the JSON has more digits than a `f64` keeps, or an exponent.
fn has_long_numbers(json: &str) -> bool {
    const DIGITS: usize = 15;
    let (mut in_text, mut is_escaped, mut digits) = (false, false, 0);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'0'..=b'9' => digits += 1,
            b'.' if digits > 0 => {}
            b'e' | b'E' if digits > 0 => return true,
            _ => digits = 0,
        }
        if digits > DIGITS {
            return true;
        }
    }
    false
}

/// All fields of one hash.
pub(super) type Fields = HashMap<String, String>;

/// What one task looks like from outside.
pub(super) fn status(key: &JobKey, state: StoredState, fields: &Fields) -> TaskStatus {
    let text = |name: &str| fields.get(name).map(String::as_str);
    let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
    let at = |name: &str| number(name).map(time);
    let (bg, arguments) = split(text("data").unwrap_or("{}"));
    let attempt = number("ats").unwrap_or(0);
    // Entries of a list, without its brackets.
    let errors = format!("[{}]", text("#e").unwrap_or_default());
    let errors: Vec<(i64, i64, String)> = serde_json::from_str(&errors).unwrap_or_default();
    let read = |(attempt, at, error): &(i64, i64, String)| {
        StoredError::parse(small(*attempt), time(*at), error)
    };
    let mut errors: Vec<_> = errors.iter().map(read).collect();
    let unreadable = text("#u").and_then(|text| serde_json::from_str(text).ok());
    if let Some(unreadable) = unreadable {
        read(&unreadable).insert_into(&mut errors);
    }
    let progress =
        text("progress").and_then(|text| serde_json::from_str::<(u64, u64, String)>(text).ok());
    let stored_at = at("timestamp").unwrap_or(UNIX_EPOCH);
    TaskStatus {
        id: key.task(),
        name: text("name").unwrap_or_default().to_owned(),
        state,
        queue: key.queue.to_string(),
        attempt: small(attempt),
        runs: bg.as_ref().map_or(1, |bg| bg.runs),
        arguments: arguments.get().to_owned(),
        key: text("#key").map(str::to_owned),
        errors,
        progress: progress.map(|(done, total, message)| Progress::new(done, total, message)),
        worker: text("pb").map(str::to_owned),
        stored_at,
        due_at: at("#due").unwrap_or(stored_at),
        expires_at: bg.and_then(|bg| Envelope::from_json(&bg.envelope).expires_at),
        attempted_at: at("processedOn"),
        ended_at: at("finishedOn"),
    }
}

pub(super) fn state(text: &str) -> StoredState {
    let state = StoredState::ALL
        .into_iter()
        .find(|state| state.to_string() == text);
    state.unwrap_or(StoredState::Waiting)
}

fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

pub(super) fn time(millis: i64) -> SystemTime {
    let since = Duration::from_millis(millis.max(0).unsigned_abs());
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

/// The last millisecond of the year 9999: a score of BullMQ has no room for much later ones.
const LAST: u64 = 253_402_300_799_999;

pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).map_or(LAST, |millis| millis.min(LAST))
}

/// For how long, in milliseconds.
pub(super) fn wait(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).map_or(LAST, |millis| millis.min(LAST))
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    fn stored(arguments: &str) -> Stored {
        Stored {
            id: TaskId::next(),
            name: "tests.mail",
            arguments: raw(arguments),
            envelope: raw("{\"timeout_ms\":3}"),
            runs: 7,
            due: None,
            queue: "default".into(),
            priority: 1,
            unique: None,
            key: None,
        }
    }

    #[test]
    fn arguments_come_back_as_they_were_byte_for_byte() {
        for arguments in [
            "{}",
            "{ }",
            "{\"to\":\"a, b\"}",
            "{\"n\":340282366920938463463374607431768211455}",
            "{\"n\":1e400,\"m\":0.10}",
        ] {
            let data = data(&stored(arguments));
            serde_json::from_str::<serde_json::Value>(&data).ok();
            let (bg, read) = split(&data);
            let bg = bg.unwrap();
            assert_eq!((bg.runs, bg.envelope.get()), (7, "{\"timeout_ms\":3}"));
            assert_eq!(read.get().replace(' ', ""), arguments.replace(' ', ""));
        }
    }

    #[test]
    fn what_others_have_stored_is_its_own_arguments() {
        for data in ["{\"a\":1}", "[1,2]", "7", "\"text\""] {
            let (bg, read) = split(data);
            assert!(bg.is_none());
            assert_eq!(read.get(), data);
        }
    }

    #[test]
    fn numbers_that_a_value_would_change_are_found() {
        for (json, expected) in [
            ("{\"n\":123456789012345}", false),
            ("{\"n\":1234567890123456}", true),
            ("{\"n\":0.1234567890123456}", true),
            ("{\"n\":1e3}", true),
            ("{\"text\":\"12345678901234567890 1e3\"}", false),
            ("{\"text\":\"\\\"1e3\"}", false),
            ("[12345678,12345678,true]", false),
        ] {
            assert_eq!(has_long_numbers(json), expected, "{json}");
        }
    }

    #[test]
    fn a_job_of_another_client_always_has_the_same_id() {
        let job = |id: &str| JobKey {
            queue: "default".into(),
            id: id.to_owned(),
        };
        assert_eq!(job("1").task(), job("1").task());
        assert_ne!(job("1").task(), job("2").task());
        let own = TaskId::next();
        assert_eq!(job(&own.to_string()).task(), own);
    }
}
