//! The arguments of a durable task as text: a JSON object by the names of the parameters.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// What a secret is shown as.
const HIDDEN: &str = "\"***\"";

/// The key of a secret that is sealed, which is an object of its own with this one key.
const SEALED: &str = "$sealed";

/// How deep an argument may be nested: as deep as `serde_json` reads.
const DEPTH: usize = 127;

/// A JSON object that is being written.
#[derive(Debug, Default)]
pub(super) struct ObjectText {
    text: String,
}

impl ObjectText {
    /// Adds a member. `value` is JSON.
    pub(super) fn add(&mut self, name: &str, value: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push_str(&quoted(name));
        self.text.push(':');
        self.text.push_str(value);
    }

    pub(super) fn finish(mut self) -> String {
        if self.text.is_empty() {
            self.text.push('{');
        }
        self.text.push('}');
        self.text
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads the members of an object. Of two with one name the last counts, as it does for most who read JSON, and in a
/// column of type `jsonb`.
pub(super) fn members(text: &str) -> serde_json::Result<BTreeMap<String, &RawValue>> {
    serde_json::from_str(text)
}

/// The object in which a sealed secret stands for itself.
pub(super) fn sealed(secret: &str) -> String {
    let mut object = ObjectText::default();
    object.add(SEALED, &quoted(secret));
    object.finish()
}

/// Returns what is sealed, if `text` is an object that [`sealed`] made.
pub(super) fn unsealed(text: &str) -> Option<String> {
    if !text.starts_with('{') || !text.contains(SEALED) {
        return None;
    }
    let mut members: BTreeMap<String, String> = serde_json::from_str(text).ok()?;
    let secret = members.remove(SEALED)?;
    members.is_empty().then_some(secret)
}

/// Returns the object with every member of one of these names hidden. What is no object is hidden whole, if it may
/// have any.
pub(super) fn redacted(text: &str, secrets: &[&str]) -> String {
    if secrets.is_empty() {
        return text.to_owned();
    }
    let Ok(members) = members(text) else {
        return HIDDEN.to_owned();
    };
    let mut object = ObjectText::default();
    for (name, value) in &members {
        let is_secret = secrets.contains(&name.as_str());
        object.add(name, if is_secret { HIDDEN } else { value.get() });
    }
    object.finish()
}

/// Returns the same text for all that differ in the order of their members alone, as the maps of two runs of a program
/// do. Numbers stay as they are written: those of 128 bits are more than a `Value` tells apart.
pub(super) fn canonical(text: &str) -> serde_json::Result<String> {
    nested_canonical(text, DEPTH)
}

fn nested_canonical(text: &str, depth: usize) -> serde_json::Result<String> {
    let text = text.trim_ascii();
    if depth > 0 && text.starts_with('{') {
        let mut object = ObjectText::default();
        for (name, value) in members(text)? {
            object.add(&name, &nested_canonical(value.get(), depth - 1)?);
        }
        return Ok(object.finish());
    }
    if depth > 0 && text.starts_with('[') {
        let values: Vec<&RawValue> = serde_json::from_str(text)?;
        let values = values.into_iter();
        let values: serde_json::Result<Vec<_>> = values
            .map(|value| nested_canonical(value.get(), depth - 1))
            .collect();
        return Ok(format!("[{}]", values?.join(",")));
    }
    Ok(text.to_owned())
}

/// Returns whether a value that was written as this may not be read back: what JSON has no word for is written as
/// `null`, and what is nested too deep is not read.
pub(super) fn is_doubtful(text: &str) -> bool {
    text.contains("null") || depth(text) > DEPTH
}

/// Returns how deep the JSON is nested.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut is_escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = in_string,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_written_member_by_member() {
        assert_eq!(ObjectText::default().finish(), "{}");
        let mut object = ObjectText::default();
        object.add("to", "\"a\"");
        object.add("a\"b", "[1]");
        let text = object.finish();
        assert_eq!(text, r#"{"to":"a","a\"b":[1]}"#);
        let members = members(&text).unwrap();
        assert_eq!(members["a\"b"].get(), "[1]");
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        let members = members(r#"{"to": 1, "to": 2}"#).unwrap();
        assert_eq!(members["to"].get(), "2");
    }

    #[test]
    fn secrets_are_hidden_and_the_rest_stays_as_it_is() {
        let text = r#"{"to": "ada", "code": {"$sealed": "x"}, "n": [1, 2]}"#;
        assert_eq!(redacted(text, &[]), text);
        let shown = redacted(text, &["code", "old_code"]);
        assert_eq!(shown, r#"{"code":"***","n":[1, 2],"to":"ada"}"#);
        for text in ["[\"4711\"]", "4711", "", "{"] {
            assert_eq!(redacted(text, &["code"]), "\"***\"");
            assert_eq!(redacted(text, &[]), text);
        }
    }

    #[test]
    fn only_an_object_with_the_one_key_is_a_sealed_secret() {
        assert_eq!(unsealed(&sealed("a:b")).as_deref(), Some("a:b"));
        // `jsonb` writes it so.
        assert_eq!(unsealed(r#"{"$sealed": "a:b"}"#).as_deref(), Some("a:b"));
        for text in [
            r#""$sealed""#,
            r#"{"$sealed":1}"#,
            r#"{"$sealed":"a","b":"c"}"#,
            r#"{"a":"$sealed"}"#,
            r#"{"$sealed":"#,
        ] {
            assert_eq!(unsealed(text), None, "{text}");
        }
    }

    #[test]
    fn the_canonical_text_ignores_order_and_keeps_numbers() {
        let canonical = |text: &str| canonical(text).unwrap();
        let one = canonical(r#"{"b": {"y": 1, "x": [{"d": 1, "c": 2}]}, "a": "é"}"#);
        let other = canonical(r#"{"a":"\u00e9","b":{"x":[{"c":2,"d":1}],"y":1}}"#);
        assert_eq!(one.replace("\\u00e9", "é"), other.replace("\\u00e9", "é"));
        let large = "340282366920938463463374607431768211455";
        assert_eq!(canonical(&format!("[ {large} ]")), format!("[{large}]"));
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(canonical(&deep), deep);
    }

    #[test]
    fn the_depth_is_that_of_brackets_outside_of_text() {
        for (text, expected) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[1,[2]],"b":[]}"#, 3),
            (r#""[[[\"[""#, 0),
            (r#"["\\",[]]"#, 2),
        ] {
            assert_eq!(depth(text), expected, "{text}");
        }
        assert!(is_doubtful("[1.0,null]") && !is_doubtful("[1.0]"));
        assert!(is_doubtful(&("[".repeat(128) + &"]".repeat(128))));
    }
}
