//! What travels with a stored task besides its arguments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::task::StoredRequest;

/// Written by the process that stores a task, and read by the one that runs it, which may be of an older or a newer
/// version: what is unknown is ignored, and what is missing is left out.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Envelope {
    /// Replaces the declared timeout.
    pub(crate) timeout: Option<Duration>,
    /// The time by which the first run has to begin.
    pub(crate) expires_at: Option<SystemTime>,
    pub(crate) request: Option<StoredRequest>,
    /// What [`baggage`](crate::BackgroundBuilder::baggage) gave.
    pub(crate) baggage: Vec<(String, String)>,
}

impl Envelope {
    pub(crate) fn baggage_size(&self) -> usize {
        self.baggage
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    pub(crate) fn to_json(&self) -> Box<RawValue> {
        let mut map = Map::new();
        if let Some(timeout) = self.timeout {
            map.insert("timeout_ms".into(), millis(timeout).into());
        }
        if let Some(at) = self.expires_at {
            let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
            map.insert("expires_at_ms".into(), millis(since).into());
        }
        if let Some(request) = &self.request {
            let mut parts = Map::new();
            parts.insert("method".into(), request.method.as_str().into());
            parts.insert("path".into(), request.path.as_str().into());
            for (name, part) in [("route", &request.route), ("id", &request.request_id)] {
                if let Some(part) = part {
                    parts.insert(name.into(), part.as_str().into());
                }
            }
            map.insert("request".into(), parts.into());
        }
        if !self.baggage.is_empty() {
            let baggage = self.baggage.iter().cloned();
            let baggage = baggage.map(|(name, value)| (name, value.into()));
            map.insert("baggage".into(), Value::Object(baggage.collect()));
        }
        serde_json::value::to_raw_value(&map).expect("text and numbers are JSON")
    }

    pub(crate) fn from_json(json: &RawValue) -> Self {
        let Ok(Value::Object(map)) = serde_json::from_str(json.get()) else {
            return Self::default();
        };
        let time = |name| map.get(name)?.as_u64().map(Duration::from_millis);
        let request = map.get("request").and_then(Value::as_object);
        let request = request.and_then(|parts| {
            let text = |name| Some(parts.get(name)?.as_str()?.to_owned());
            Some(StoredRequest {
                method: text("method")?,
                path: text("path")?,
                route: text("route"),
                request_id: text("id"),
            })
        });
        let baggage = map.get("baggage").and_then(Value::as_object);
        let baggage = baggage.into_iter().flatten().filter_map(|(name, value)| {
            let value = value.as_str()?;
            Some((name.clone(), value.to_owned()))
        });
        Self {
            timeout: time("timeout_ms"),
            expires_at: time("expires_at_ms").and_then(|since| UNIX_EPOCH.checked_add(since)),
            request,
            baggage: baggage.collect(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_reads_back_as_it_was_written() {
        let full = Envelope {
            timeout: Some(Duration::from_millis(1500)),
            expires_at: Some(UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
            request: Some(StoredRequest {
                method: "POST".into(),
                path: "/sign-up".into(),
                route: Some("/{page}".into()),
                request_id: None,
            }),
            baggage: vec![("tenant".into(), "ada".into())],
        };
        for envelope in [Envelope::default(), full] {
            assert_eq!(Envelope::from_json(&envelope.to_json()), envelope);
        }
    }

    #[test]
    fn an_envelope_of_anything_else_is_empty() {
        for json in [
            "null",
            "[]",
            "{\"timeout_ms\":-1,\"request\":{\"method\":1},\"baggage\":3}",
            "7",
        ] {
            let json = RawValue::from_string(json.to_owned()).unwrap();
            assert_eq!(Envelope::from_json(&json), Envelope::default());
        }
    }
}
