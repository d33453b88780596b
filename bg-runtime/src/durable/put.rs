//! What is stored of a task, as every engine gets it.

use std::sync::Arc;
use std::time::Duration;

use super::settings::StoreSettings;
use super::{EnqueueError, Envelope, Stored, Unique};
use crate::clock;
use crate::task::{BoxError, BoxTask, RequestInfo};

/// The priority of a task that sets none.
const FIRST: u8 = 1;

/// How much may travel with a task besides its arguments, in bytes.
const MOST_BAGGAGE: usize = 8 * 1024;

const NUL: &str = "a text has the character U+0000, which PostgreSQL cannot store, and which no store takes here so \
                   that tasks can move between them";

/// Returns what is to be stored, or what no store would take.
pub(super) fn put(
    task: &BoxTask,
    request: Option<&RequestInfo>,
    settings: &StoreSettings,
) -> Result<Stored, EnqueueError> {
    let info = task.info();
    let durable = info
        .durable()
        .ok_or(EnqueueError::NotDurable { task: info })?;
    let arguments = task.put(&settings.secret_keys).map_err(|error| {
        let error = Arc::from(error);
        EnqueueError::Arguments { task: info, error }
    })?;
    if has_nul(arguments.get()) {
        return Err(EnqueueError::Arguments {
            task: info,
            error: Arc::from(BoxError::from(NUL)),
        });
    }
    let (size, limit) = (arguments.get().len(), settings.max_payload);
    if size > limit {
        return Err(EnqueueError::TooLarge {
            task: info,
            size,
            limit,
        });
    }
    let now = clock::now();
    let options = task.options();
    let delay = (!options.delay.is_zero()).then_some(options.delay);
    let queue = options.queue.clone().unwrap_or(durable.queue().into());
    let after = |wait: Duration| now.checked_add(wait);
    let envelope = Envelope {
        timeout: options.timeout,
        expires_at: task.expires().and_then(after),
        request: request.map(RequestInfo::to_stored),
        baggage: task
            .baggage()
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    };
    let refused = |error: String| EnqueueError::Arguments {
        task: info,
        error: Arc::from(BoxError::from(error)),
    };
    if !is_queue(&queue) {
        return Err(refused(format!(
            "its queue {queue:?} has no name of one: 1 to 64 letters from a to z and digits, and single `_`, `-` and `|` \
             between them"
        )));
    }
    let envelope_json = envelope.to_json();
    if has_nul(envelope_json.get()) {
        return Err(refused(format!("in its baggage, {NUL}")));
    }
    let size = envelope.baggage_size();
    if size > MOST_BAGGAGE {
        return Err(refused(format!(
            "its baggage takes {size} bytes, and at most {MOST_BAGGAGE} travel with a task"
        )));
    }
    Ok(Stored {
        id: task.id(),
        name: info.name(),
        arguments,
        envelope: envelope_json,
        runs: task.runs(),
        due: options.due.or_else(|| delay.and_then(after)),
        queue,
        priority: options.priority.unwrap_or(FIRST),
        unique: unique(task),
        key: task.key(),
    })
}

/// Returns whether a text in the JSON has the character U+0000, which is always escaped there.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json[..at].bytes().rev();
        before.take_while(|byte| *byte == b'\\').count() % 2 == 0
    })
}

/// Returns whether a queue can have this name, as River says.
pub(super) fn is_queue(name: &str) -> bool {
    let is_word = |part: &str| {
        let mut bytes = part.bytes();
        !part.is_empty() && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    name.len() <= 64 && name.split(['_', '-', '|']).all(is_word)
}

/// Returns how many tasks like this one may be unfinished at once.
fn unique(task: &BoxTask) -> Option<Unique> {
    let value = task.unique_value()?;
    let slots = match task.is_unique() {
        true => Some(1),
        false => task.info().limits_ref().unfinished_per_key,
    };
    Some(Unique {
        value,
        slots: u32::try_from(slots?).unwrap_or(u32::MAX),
        period: task.options().unique_for,
    })
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::has_nul;

    #[test]
    fn the_character_nul_is_found_in_json_and_its_escaped_escape_is_not() {
        for (text, expected) in [
            ("\0", true),
            ("a\\\0", true),
            ("\\u0000", false),
            ("\\\\u0000", false),
            ("u0000", false),
        ] {
            let json = serde_json::to_string(text).unwrap();
            assert_eq!(has_nul(&json), expected, "{json}");
        }
    }
}
