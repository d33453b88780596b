//! Durations as text: `"500ms"`, `"30s"`, `"1h30m"`.

use crate::errors::quoted;

const UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Reads whole numbers, each followed by its unit, and gives their sum in milliseconds. The error
/// says what to write instead.
pub(super) fn millis(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Err("a duration is a number and its unit: `30s`".to_owned());
    }
    let mut millis = 0_u64;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| !c.is_ascii_digit());
        millis = millis
            .checked_add(part(text, number, unit.trim())?)
            .ok_or_else(|| too_long(text))?;
        rest = after;
    }
    Ok(millis)
}

/// The milliseconds in `number` times `unit`.
fn part(text: &str, number: &str, unit: &str) -> Result<u64, String> {
    if number.is_empty() {
        return Err(format!(
            "`{text}` is not a duration: write a number and its unit, as in `30s`"
        ));
    }
    if unit.is_empty() {
        return Err(format!("`{number}` needs a unit: {}", usage(number)));
    }
    if unit.starts_with('.') {
        return Err(format!(
            "`{text}` is not in whole numbers: use a smaller unit, as in `1500ms` for one second \
             and a half"
        ));
    }
    let Some((_, millis)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("`{unit}` is not a unit of time: {}", usage(number)));
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(*millis))
        .ok_or_else(|| too_long(text))
}

fn usage(number: &str) -> String {
    let forms = UNITS.iter().map(|(unit, _)| format!("{number}{unit}"));
    format!("write {}", quoted(forms))
}

fn too_long(text: &str) -> String {
    format!("`{text}` is longer than can be counted")
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_the_sum_of_numbers_with_units() {
        for (text, expected) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1h30m", 5_400_000),
            ("1 s 500 ms", 1_500),
        ] {
            assert_eq!(millis(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_message_for_a_wrong_duration_says_what_to_write() {
        for (text, reason) in [
            ("", "a number and its unit"),
            (
                "30",
                "`30` needs a unit: write `30ms`, `30s`, `30m`, `30h`, `30d`",
            ),
            ("30sec", "`sec` is not a unit of time"),
            ("1.5s", "not in whole numbers"),
            ("-1s", "`-1s` is not a duration"),
            ("soon", "`soon` is not a duration"),
            ("99999999999999999999s", "longer than can be counted"),
            ("18446744073709551615d", "longer than can be counted"),
            ("\u{1f600}", "is not a duration"),
        ] {
            let message = millis(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }
}
