//! The wait before a task runs again: `"1s"`, or `"1s..1m"` for one that grows.

use syn::Expr;

use super::duration;
use crate::errors::Errors;
use crate::source_text::source_text;
use crate::syntax;

pub(super) enum Backoff {
    /// The shortest wait and the longest.
    Millis(u64, u64),
    /// A constant of type `Backoff`.
    Constant(Expr),
}

impl Backoff {
    pub(super) fn parse(value: Expr, errors: &mut Errors) -> Option<Self> {
        if let Some(text) = syntax::text(&value) {
            return read(&text.value())
                .map(|(least, most)| Self::Millis(least, most))
                .map_err(|message| errors.on(&value, message))
                .ok();
        }
        match value {
            Expr::Lit(_) => {
                errors.on(value, "a wait has a unit: `backoff = \"1s\"`");
                None
            }
            Expr::Range(_) => {
                let written = source_text(&value).replace('"', "");
                errors.on(
                    value,
                    format!("write the two waits as one text: `backoff = \"{written}\"`"),
                );
                None
            }
            value => Some(Self::Constant(value)),
        }
    }
}

/// The shortest wait and the longest, in milliseconds. The error says what to write instead.
fn read(text: &str) -> Result<(u64, u64), String> {
    let Some((least, most)) = text.split_once("..") else {
        return duration::millis(text.trim()).map(|wait| (wait, wait));
    };
    let (least, most) = (least.trim(), most.trim());
    if least.is_empty() || most.is_empty() || most.contains("..") || most.starts_with(['.', '=']) {
        return Err(format!(
            "`{text}` is not a range: write the shortest wait and the longest, as in `1s..1m`"
        ));
    }
    let (shortest, longest) = (duration::millis(least)?, duration::millis(most)?);
    if shortest > longest {
        return Err(format!(
            "the shortest wait comes first: write `{most}..{least}`"
        ));
    }
    if shortest == longest {
        return Err(format!("this wait is always the same: write `{least}`"));
    }
    if shortest == 0 {
        return Err(format!(
            "a wait of zero does not grow, because each is twice the one before\n\
             begin with more, as in `100ms..{most}`, or write `{least}` for no wait at all"
        ));
    }
    Ok((shortest, longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_is_one_wait_or_two() {
        for (text, expected) in [
            ("0s", (0, 0)),
            ("1s", (1_000, 1_000)),
            (" 1m 30s ", (90_000, 90_000)),
            ("1s..1m", (1_000, 60_000)),
            ("500ms .. 1h30m", (500, 5_400_000)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_message_for_a_wrong_backoff_says_what_to_write() {
        for (text, reason) in [
            ("", "a number and its unit"),
            ("..", "`..` is not a range"),
            ("1s..", "`1s..` is not a range"),
            ("..1m", "`..1m` is not a range"),
            ("1s..=1m", "`1s..=1m` is not a range"),
            ("1s...1m", "`1s...1m` is not a range"),
            ("1s..1m..1h", "`1s..1m..1h` is not a range"),
            ("1m..1s", "the shortest wait comes first: write `1s..1m`"),
            ("60s..1m", "always the same: write `60s`"),
            ("0s..1m", "as in `100ms..1m`, or write `0s`"),
            ("1..60s", "`1` needs a unit"),
            ("1s..60", "`60` needs a unit"),
            ("soon..1m", "`soon` is not a duration"),
            ("1s..later", "`later` is not a duration"),
            ("1s-1m", "is not a unit of time"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn a_backoff_that_is_no_text_is_a_constant_or_a_mistake() {
        for (value, reason) in [
            ("1", "a wait has a unit"),
            ("1s", "a wait has a unit"),
            ("1s..1m", "`backoff = \\\"1s..1m\\\"`"),
            ("\"1s\"..\"1m\"", "`backoff = \\\"1s..1m\\\"`"),
        ] {
            let value = syn::parse_str(value).expect("an expression");
            let (backoff, errors) = Errors::collect(|errors| Backoff::parse(value, errors));
            assert!(backoff.is_none());
            let errors = errors.to_string();
            assert!(errors.contains(reason), "{errors}");
        }
        let value = syn::parse_str("Backoff::fixed(WAIT)").expect("an expression");
        let (backoff, errors) = Errors::collect(|errors| Backoff::parse(value, errors));
        assert!(matches!(backoff, Some(Backoff::Constant(_))) && errors.is_empty());
    }
}
