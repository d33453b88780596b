//! How many runs may begin in any span of time: `"10/s"`, `"100/h"`, `"10/30s"`.

use syn::Expr;

use super::duration;
use crate::errors::Errors;
use crate::syntax;

pub(super) enum Rate {
    /// So many runs in so many milliseconds.
    PerMillis(u64, u64),
    /// A constant of type `Rate`.
    Constant(Expr),
}

impl Rate {
    pub(super) fn parse(value: Expr, errors: &mut Errors) -> Option<Self> {
        if let Some(text) = syntax::text(&value) {
            return read(&text.value())
                .map(|(runs, millis)| Self::PerMillis(runs, millis))
                .map_err(|message| errors.on(&value, message))
                .ok();
        }
        match value {
            Expr::Lit(_) | Expr::Binary(_) => {
                errors.on(value, "a rate is text: `rate = \"10/s\"`");
                None
            }
            value => Some(Self::Constant(value)),
        }
    }
}

/// The runs, and the milliseconds in which they may begin. The error says what to write instead.
fn read(text: &str) -> Result<(u64, u64), String> {
    let Some((runs, per)) = text.split_once('/') else {
        return Err(format!(
            "`{text}` is not a rate: write how many runs may begin in which time, as in `10/s`"
        ));
    };
    let (runs, per) = (runs.trim(), per.trim());
    let digits = !runs.is_empty() && runs.chars().all(|c| c.is_ascii_digit());
    if !digits {
        return Err(format!(
            "`{text}` does not begin with a whole number of runs, as in `10/s`"
        ));
    }
    let Ok(runs) = runs.parse::<u64>() else {
        return Err("this is more than can be counted\nleave out `rate` for no limit".to_owned());
    };
    if runs == 0 {
        return Err(
            "with a rate of zero the task never runs\nleave out `rate` for no limit, or write one or more"
                .to_owned(),
        );
    }
    // A unit alone is one of it.
    let millis = if per.starts_with(|c: char| c.is_ascii_digit()) {
        duration::millis(per)?
    } else {
        unit(text, per)?
    };
    if millis == 0 {
        return Err(format!(
            "a rate in no time at all limits nothing: write `{runs}/s`, or leave it out"
        ));
    }
    Ok((runs, millis))
}

fn unit(text: &str, unit: &str) -> Result<u64, String> {
    if unit.is_empty() {
        return Err(format!(
            "`{text}` needs a time: write how long, as in `{}s`, `{}10s`",
            text.trim(),
            text.trim()
        ));
    }
    duration::millis(&format!("1{unit}")).map_err(|_| {
        format!("`{unit}` is not a time: write `s`, `m`, `h`, `d`, or a duration such as `10s`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_runs_and_a_time() {
        for (text, expected) in [
            ("10/s", (10, 1_000)),
            ("1/m", (1, 60_000)),
            ("100/h", (100, 3_600_000)),
            ("5/d", (5, 86_400_000)),
            ("10/10s", (10, 10_000)),
            (" 3 / 1m30s ", (3, 90_000)),
            ("2/500ms", (2, 500)),
            ("2/ms", (2, 1)),
        ] {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn the_message_for_a_wrong_rate_says_what_to_write() {
        for (text, reason) in [
            ("", "`` is not a rate"),
            ("10", "`10` is not a rate"),
            ("10 per second", "is not a rate"),
            ("/s", "does not begin with a whole number"),
            ("-1/s", "does not begin with a whole number"),
            ("1.5/s", "does not begin with a whole number"),
            ("ten/s", "does not begin with a whole number"),
            ("0/s", "with a rate of zero the task never runs"),
            ("99999999999999999999/s", "more than can be counted"),
            ("10/", "`10/` needs a time: write how long, as in `10/s`"),
            (
                "10/second",
                "`second` is not a time: write `s`, `m`, `h`, `d`",
            ),
            ("10/0s", "in no time at all limits nothing: write `10/s`"),
            ("10/5", "`5` needs a unit"),
            ("10/5x", "`x` is not a unit of time"),
            ("10/1s/2", "is not a unit of time"),
        ] {
            let message = read(text).expect_err(text);
            assert!(message.contains(reason), "{text}: {message}");
        }
    }

    #[test]
    fn a_rate_that_is_no_text_is_a_constant_or_a_mistake() {
        for value in ["10", "10 / 1", "'a'"] {
            let value = syn::parse_str(value).expect("an expression");
            let (rate, errors) = Errors::collect(|errors| Rate::parse(value, errors));
            assert!(rate.is_none());
            assert!(errors.to_string().contains("a rate is text"), "{errors}");
        }
        let value = syn::parse_str("Rate::new(1, WAIT)").expect("an expression");
        let (rate, errors) = Errors::collect(|errors| Rate::parse(value, errors));
        assert!(matches!(rate, Some(Rate::Constant(_))) && errors.is_empty());
    }
}
