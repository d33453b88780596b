//! The settings of a task: what may be written, and what it says.

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, LitStr, Path};

use super::backoff::Backoff;
use super::rate::Rate;
use super::{duration, key, number, on_full};
use crate::errors::{Errors, did_you_mean};
use crate::krate::{self, Krate};
use crate::settings::{self, Key};
use crate::syntax;

pub(super) const KNOWN: &[Key] = &[
    Key {
        name: "name",
        example: Some("\"emails.welcome\""),
        docs: "The task's name in logs and reports. Without it: the function's path.\n\n\
               ```ignore\nname = \"emails.welcome\"\n```",
    },
    Key {
        name: "timeout",
        example: Some("\"30s\""),
        docs: "How long one run may take: text such as `\"500ms\"`, `\"30s\"` or `\"1h30m\"`, or a \
               constant `Duration`.\n\n```ignore\ntimeout = \"30s\"\n```",
    },
    Key {
        name: "expires",
        example: Some("\"30s\""),
        docs: "How long after it was queued the task may still begin; after that it is skipped. Text \
               such as `\"30s\"`, or a constant `Duration`. Without it: the task does not \
               expire.\n\n```ignore\nexpires = \"30s\"\n```",
    },
    Key {
        name: "retries",
        example: Some("3"),
        docs: "How many times the task runs again after a run that failed, panicked or timed out. \
               Its arguments are `Clone`.\n\n```ignore\nretries = 3\n```",
    },
    Key {
        name: "backoff",
        example: Some("\"1s..1m\""),
        docs: "How long the task waits before it runs again: always the same, as in `\"1s\"`, or \
               growing between two bounds, as in `\"1s..1m\"`, or a constant `Backoff`. Without \
               it: `\"100ms..10s\"`.\n\n```ignore\nretries = 3, backoff = \"1s..1m\"\n```",
    },
    Key {
        name: "max_concurrent",
        example: Some("4"),
        docs: "How many of these tasks run at once; others wait, in order. Without it: no \
               limit.\n\n```ignore\nmax_concurrent = 4\n```",
    },
    Key {
        name: "rate",
        example: Some("\"10/s\""),
        docs: "How many runs may begin in any such time, for each key if there is a `key`; others \
               wait, in order. Text such as `\"10/s\"`, `\"100/h\"` or `\"10/30s\"`, or a constant \
               `Rate`. Without it: no limit.\n\n```ignore\nrate = \"10/s\"\n```",
    },
    Key {
        name: "key",
        example: Some("user_id"),
        docs: "The parameter that `max_per_key`, `max_pending_per_key`, `max_unfinished_per_key` and \
               `rate` count by. It is `Display`, and logs and reports show it.\n\n\
               ```ignore\nkey = user_id, max_per_key = 1\n```",
    },
    Key {
        name: "max_per_key",
        example: Some("1"),
        docs: "How many of these tasks with the same key run at once; others of that key wait, in \
               order. Without it: no limit.\n\n```ignore\nkey = user_id, max_per_key = 1\n```",
    },
    Key {
        name: "max_pending_per_key",
        example: Some("100"),
        docs: "How many of these tasks with the same key may wait to run; more are refused, or what \
               `on_full` says. Without it: no limit.\n\n\
               ```ignore\nkey = user_id, max_pending_per_key = 100\n```",
    },
    Key {
        name: "max_unfinished_per_key",
        example: Some("1"),
        docs: "How many of these tasks with the same key may wait and run together; more are refused, \
               or what `on_full` says. Without it: no limit.\n\n\
               ```ignore\nkey = user_id, max_unfinished_per_key = 1\n```",
    },
    Key {
        name: "on_full",
        example: Some("replace"),
        docs: "What happens to a task beyond `max_pending_per_key` or `max_unfinished_per_key`: `reject` \
               it, have it `replace` the oldest that waits, or `ignore` it. Without it: \
               `reject`.\n\n\
               ```ignore\nkey = user_id, max_pending_per_key = 1, on_full = replace\n```",
    },
    Key {
        name: "on_error",
        example: Some("report_failure"),
        docs: "A function that is called with each failure of this task.\n\n\
               ```ignore\non_error = report_failure // fn report_failure(failure: &TaskFailure)\n```",
    },
    krate::KEY,
];

pub(super) struct Settings {
    pub(super) krate: Krate,
    pub(super) name: Option<LitStr>,
    pub(super) key: Option<Ident>,
    /// With the identifier of the setting, as are those below: the task's record calls a method of that
    /// name, where rustc reports a value of the wrong type.
    pub(super) timeout: Option<(Ident, Time)>,
    pub(super) expires: Option<(Ident, Time)>,
    pub(super) retries: Option<(Ident, Expr)>,
    pub(super) backoff: Option<(Ident, Backoff)>,
    pub(super) limits: Vec<(Ident, Expr)>,
    /// With the variant of `OnFull`.
    pub(super) on_full: Option<(Ident, Ident)>,
    pub(super) rate: Option<(Ident, Rate)>,
    pub(super) on_error: Option<(Ident, Path)>,
    /// Every word in the place of a setting's name, known or not.
    pub(super) words: Vec<Ident>,
}

pub(super) enum Time {
    Millis(u64),
    /// A constant of type `Duration`.
    Constant(Expr),
}

/// Reads what `#[background_task(args)]` says.
pub(super) fn parse(args: TokenStream, errors: &mut Errors) -> Settings {
    let mut given = settings::Settings::parse(args, KNOWN, errors);
    refuse_useless(given.words(), errors);
    Settings {
        krate: Krate::new(given.value("crate"), errors),
        name: given.value("name").and_then(|value| name(&value, errors)),
        timeout: given.entry("timeout", |_, value| {
            let zero = "with a timeout of zero every run that waits even once fails";
            time(
                value,
                "a timeout has a unit: `timeout = \"30s\"`",
                zero,
                errors,
            )
        }),
        expires: given.entry("expires", |_, value| {
            let zero = "a task that expires at once never runs";
            time(
                value,
                "a time has a unit: `expires = \"30s\"`",
                zero,
                errors,
            )
        }),
        retries: given.entry("retries", |word, value| {
            number::retries(word, value, errors)
        }),
        backoff: given.entry("backoff", |_, value| Backoff::parse(value, errors)),
        key: given
            .value("key")
            .and_then(|value| key::name(&value, errors)),
        limits: limits(&mut given, errors),
        on_full: given.entry("on_full", |_, value| on_full::parse(&value, errors)),
        rate: given.entry("rate", |_, value| Rate::parse(value, errors)),
        on_error: given.entry("on_error", |_, value| on_error(&value, errors)),
        words: given.words().to_vec(),
    }
}

fn name(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let Some(name) = syntax::text(value) else {
        errors.on(value, "`name` is text: `name = \"emails.welcome\"`");
        return None;
    };
    if name.value().trim().is_empty() {
        errors.on(
            value,
            "a task's name cannot be empty\nwithout this setting it is the function's path",
        );
        return None;
    }
    Some(name.clone())
}

/// A time that is not zero. `no_unit` is the message for a number, and `zero` says what zero does.
fn time(value: Expr, no_unit: &str, zero: &str, errors: &mut Errors) -> Option<Time> {
    if let Some(text) = syntax::text(&value) {
        return match duration::millis(&text.value()) {
            Ok(0) => {
                errors.on(value, zero);
                None
            }
            Ok(millis) => Some(Time::Millis(millis)),
            Err(message) => {
                errors.on(value, message);
                None
            }
        };
    }
    if let Expr::Lit(literal) = &value {
        errors.on(literal, no_unit);
        return None;
    }
    Some(Time::Constant(value))
}

/// Each with what a limit of zero does. `TaskDef` says the same of a constant that is zero.
const LIMITS: [(&str, &str); 4] = [
    ("max_concurrent", "with a limit of zero the task never runs"),
    ("max_per_key", "with a limit of zero the task never runs"),
    (
        "max_pending_per_key",
        "with a limit of zero every task is refused",
    ),
    (
        "max_unfinished_per_key",
        "with a limit of zero every task is refused",
    ),
];

fn limits(given: &mut settings::Settings, errors: &mut Errors) -> Vec<(Ident, Expr)> {
    LIMITS
        .iter()
        .filter_map(|(name, zero)| {
            given.entry(name, |word, value| number::limit(word, value, zero, errors))
        })
        .collect()
}

/// Reports settings that do nothing without another.
fn refuse_useless(words: &[Ident], errors: &mut Errors) {
    let given = |name| words.iter().find(|word| *word == name);
    // A misspelled setting was meant, and has an error of its own. A known one is not misspelled, even if
    // it is much like another, as `crate` is like `rate`.
    let is_known = |word: &Ident| KNOWN.iter().any(|key| word == key.name);
    let meant = |name| {
        let mut words = words.iter();
        words.any(|word| {
            word == name || !is_known(word) && did_you_mean(&word.to_string(), [name]).is_some()
        })
    };
    if let Some(backoff) = given("backoff").filter(|_| !meant("retries")) {
        errors.on(
            backoff,
            "`backoff` needs `retries`: how many times to run again, as in `retries = 3`",
        );
    }
    let per_key = [
        "max_per_key",
        "max_pending_per_key",
        "max_unfinished_per_key",
    ];
    for name in per_key {
        if let Some(limit) = given(name).filter(|_| !meant("key")) {
            errors.on(
                limit,
                format!("`{limit}` needs `key`: the parameter to count by, as in `key = user_id`"),
            );
        }
    }
    let is_limited = per_key.into_iter().any(meant) || meant("rate");
    if let Some(key) = given("key").filter(|_| !is_limited) {
        errors.on(
            key,
            "`key` needs a limit: `max_per_key = 1`, `max_pending_per_key = 100`, \
             `max_unfinished_per_key = 1`, or `rate = \"10/s\"`",
        );
    }
    let may_be_full = meant("max_pending_per_key") || meant("max_unfinished_per_key");
    if let Some(on_full) = given("on_full").filter(|_| !may_be_full) {
        errors.on(
            on_full,
            "`on_full` needs a limit that can be full: `max_pending_per_key = 1`, or \
             `max_unfinished_per_key = 1`",
        );
    }
}

fn on_error(value: &Expr, errors: &mut Errors) -> Option<Path> {
    let path = syntax::path(value).cloned();
    if path.is_none() {
        errors.on(
            value,
            "`on_error` is the path of a function: `on_error = report_failure`",
        );
    }
    path
}
