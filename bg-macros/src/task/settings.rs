//! The settings of a task: what may be written, and what it says.

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, LitStr, Path};

use super::backoff::Backoff;
use super::durable::{self, Durable};
use super::rate::Rate;
use super::{duration, key, number, on_full};
use crate::errors::{Errors, did_you_mean};
use crate::krate::{self, Krate};
use crate::settings::{self, Form, Key};
use crate::syntax;

const MAX_CONCURRENT: Key = Key {
    name: "max_concurrent",
    form: Form::Value("4"),
    docs: "How many of these tasks run at once; others wait, in order. Without it: no \
           limit.\n\n```ignore\nmax_concurrent = 4\n```",
};

const RATE: Key = Key {
    name: "rate",
    form: Form::Value("\"10/s\""),
    docs: "How many runs may begin in any such time, for each key if there is a `key`; others \
           wait, in order. Text such as `\"10/s\"`, `\"100/h\"` or `\"10/30s\"`, or a constant \
           `Rate`. Without it: no limit.\n\n```ignore\nrate = \"10/s\"\n```",
};

const MAX_PER_KEY: Key = Key {
    name: "max_per_key",
    form: Form::Value("1"),
    docs: "How many of these tasks with the same key run at once; others of that key wait, in \
           order. Without it: no limit.\n\n```ignore\nkey = user_id, max_per_key = 1\n```",
};

/// The limits of a durable task that hold in each process alone.
const PER_PROCESS: [Key; 3] = [RATE, MAX_CONCURRENT, MAX_PER_KEY];

pub(super) const KNOWN: &[Key] = &[
    Key {
        name: "name",
        form: Form::Value("\"emails.welcome\""),
        docs: "The task's name in logs and reports. Without it: the function's path.\n\n\
               ```ignore\nname = \"emails.welcome\"\n```",
    },
    Key {
        name: "timeout",
        form: Form::Value("\"30s\""),
        docs: "How long one run may take: text such as `\"500ms\"`, `\"30s\"` or `\"1h30m\"`, or a \
               constant `Duration`.\n\n```ignore\ntimeout = \"30s\"\n```",
    },
    Key {
        name: "expires",
        form: Form::Value("\"30s\""),
        docs: "How long after it was queued the task may still begin; after that it is skipped. Text \
               such as `\"30s\"`, or a constant `Duration`. Without it: the task does not \
               expire.\n\n```ignore\nexpires = \"30s\"\n```",
    },
    Key {
        name: "retries",
        form: Form::Value("3"),
        docs: "How many times the task runs again after a run that failed, panicked or timed out. \
               Its arguments are `Clone`.\n\n```ignore\nretries = 3\n```",
    },
    Key {
        name: "backoff",
        form: Form::Value("\"1s..1m\""),
        docs: "How long the task waits before it runs again: always the same, as in `\"1s\"`, or \
               growing between two bounds, as in `\"1s..1m\"`, or a constant `Backoff`. Without \
               it: `\"100ms..10s\"`.\n\n```ignore\nretries = 3, backoff = \"1s..1m\"\n```",
    },
    MAX_CONCURRENT,
    RATE,
    Key {
        name: "key",
        form: Form::Value("user_id"),
        docs: "The parameter that `max_per_key`, `max_pending_per_key`, `max_unfinished_per_key` and \
               `rate` count by. It is `Display`, and logs and reports show it.\n\n\
               ```ignore\nkey = user_id, max_per_key = 1\n```",
    },
    MAX_PER_KEY,
    Key {
        name: "max_pending_per_key",
        form: Form::Value("100"),
        docs: "How many of these tasks with the same key may wait to run; more are refused, or what \
               `on_full` says. Without it: no limit.\n\n\
               ```ignore\nkey = user_id, max_pending_per_key = 100\n```",
    },
    Key {
        name: "max_unfinished_per_key",
        form: Form::Value("1"),
        docs: "How many of these tasks with the same key may wait and run together; more are refused, \
               or what `on_full` says. Without it: no limit.\n\n\
               ```ignore\nkey = user_id, max_unfinished_per_key = 1\n```",
    },
    Key {
        name: "on_full",
        form: Form::Value("replace"),
        docs: "What happens to a task beyond `max_pending_per_key` or `max_unfinished_per_key`: `reject` \
               it, have it `replace` the oldest that waits, or `ignore` it. Without it: \
               `reject`.\n\n\
               ```ignore\nkey = user_id, max_pending_per_key = 1, on_full = replace\n```",
    },
    Key {
        name: "on_error",
        form: Form::Value("report_failure"),
        docs: "A function that is called with each failure of this task.\n\n\
               ```ignore\non_error = report_failure // fn report_failure(failure: &TaskFailure)\n```",
    },
    Key {
        name: "durable",
        form: Form::Flag,
        docs: "The task is stored before anybody is told that it will run, and survives the process. It \
               has a `name`, and arguments that serde can write and read. Without other settings it \
               has `retries = 20, backoff = \"1s..1h\", timeout = \"1h\"`.\n\n\
               ```ignore\ndurable, name = \"emails.welcome\"\n```",
    },
    Key {
        name: "queue",
        form: Form::Value("\"slow\""),
        docs: "The queue of a durable task: a lane with workers of its own. Without it: \
               `default`.\n\n```ignore\ndurable, name = \"videos.cut\", queue = \"slow\"\n```",
    },
    Key {
        name: "unique",
        form: Form::FlagOrValue("[event_id]"),
        docs: "A durable task is stored only if no other of its name with the same arguments, or the same \
               values of those that are named, is unfinished.\n\n\
               ```ignore\ndurable, name = \"events.index\", unique = [event_id]\n```",
    },
    Key {
        name: "was",
        form: Form::Value("\"emails.hello\""),
        docs: "The name that a durable task had before, or a list of them: what is stored under it runs as \
               this task.\n\n```ignore\ndurable, name = \"emails.welcome\", was = \"emails.hello\"\n```",
    },
    Key {
        name: "per_process",
        form: Form::Group("rate = \"10/s\", max_concurrent = 4, max_per_key = 1"),
        docs: "The limits of a durable task that hold in each process alone: `rate`, `max_concurrent` and \
               `max_per_key`.\n\n```ignore\nper_process(rate = \"10/s\", max_concurrent = 4)\n```",
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
    pub(super) durable: Option<Durable>,
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
    let mut per_process = per_process(&given, errors);
    let mut words = given.words().to_vec();
    let is_durable = words.iter().any(|word| word == "durable");
    refuse_useless(&words, per_process.words(), errors);
    refuse_misplaced(&words, is_durable, errors);
    words.extend(per_process.words().iter().cloned());
    Settings {
        krate: Krate::new(given.value("crate"), errors),
        name: given
            .value("name")
            .and_then(|value| name(&value, is_durable, errors)),
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
        limits: [&mut given, &mut per_process]
            .into_iter()
            .flat_map(|given| limits(given, errors))
            .collect(),
        on_full: given.entry("on_full", |_, value| {
            on_full::parse(&value, is_durable, errors)
        }),
        rate: rate(&mut given, errors).or(rate(&mut per_process, errors)),
        on_error: given.entry("on_error", |_, value| on_error(&value, errors)),
        durable: durable::parse(&mut given, errors),
        words,
    }
}

fn name(value: &Expr, is_durable: bool, errors: &mut Errors) -> Option<LitStr> {
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
    if is_durable {
        durable::check_name(name, errors);
    }
    Some(name.clone())
}

fn rate(given: &mut settings::Settings, errors: &mut Errors) -> Option<(Ident, Rate)> {
    given.entry("rate", |_, value| Rate::parse(value, errors))
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

/// The settings in `per_process(..)`.
fn per_process(given: &settings::Settings, errors: &mut Errors) -> settings::Settings {
    let Some((word, group)) = given.group("per_process") else {
        return settings::Settings::default();
    };
    if group.stream().is_empty() {
        errors.on(
            word,
            "`per_process` is around at least one limit: `per_process(rate = \"10/s\")`",
        );
    }
    settings::Settings::parse(group.stream(), &PER_PROCESS, errors)
}

/// Reports settings that are for durable tasks only, or for others only.
fn refuse_misplaced(words: &[Ident], is_durable: bool, errors: &mut Errors) {
    let given = |name: &str| words.iter().find(|word| *word == name);
    if !is_durable {
        let is_meant = |word: &Ident| did_you_mean(&word.to_string(), ["durable"]).is_some();
        if words.iter().any(is_meant) {
            return;
        }
        for name in ["queue", "unique", "was"] {
            if let Some(word) = given(name) {
                errors.on(
                    word,
                    format!("`{word}` needs `durable`: it is about tasks that are stored"),
                );
            }
        }
        if let Some(word) = given("per_process") {
            errors.on(
                word,
                "`per_process` is for a task that is `durable`, and all limits of this one are those of its process\n\
                 write them without `per_process(..)`",
            );
        }
        return;
    }
    let has_name = words
        .iter()
        .any(|word| word == "name" || did_you_mean(&word.to_string(), ["name"]).is_some());
    if let Some(word) = given("durable").filter(|_| !has_name) {
        errors.on(
            word,
            "a durable task needs a name: `durable, name = \"emails.welcome\"`\n\
             it is stored under it, and found again by it when the function has moved",
        );
    }
    for key in PER_PROCESS {
        if let Some(word) = given(key.name) {
            let usage = key.usage();
            let usage = usage.trim_matches('`');
            errors.on(
                word,
                format!(
                    "a durable task runs in many processes, and `{word}` holds in each of them alone\n\
                     say so: `per_process({usage})`"
                ),
            );
        }
    }
    if let Some(word) = given("max_pending_per_key") {
        errors.on(
            word,
            "what waits in a store is not counted\n\
             write `max_unfinished_per_key`: how many of a key wait and run, over all processes",
        );
    }
}

/// Reports settings that do nothing without another. `inner` are those in `per_process(..)`.
fn refuse_useless(words: &[Ident], inner: &[Ident], errors: &mut Errors) {
    let words: Vec<_> = words.iter().chain(inner).collect();
    let given = |name| words.iter().copied().find(|word| *word == name);
    // A misspelled setting was meant, and has an error of its own. A known one is not misspelled, even if
    // it is much like another, as `crate` is like `rate`.
    let is_known = |word: &Ident| KNOWN.iter().any(|key| word == key.name);
    let meant = |name| {
        let mut words = words.iter();
        words.any(|word| {
            *word == name || !is_known(word) && did_you_mean(&word.to_string(), [name]).is_some()
        })
    };
    if let Some(backoff) = given("backoff").filter(|_| !meant("retries") && !meant("durable")) {
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
        // A durable task cannot have this one at all, with a key or without.
        if name == "max_pending_per_key" && meant("durable") {
            continue;
        }
        if let Some(limit) = given(name).filter(|_| !meant("key")) {
            errors.on(
                limit,
                format!("`{limit}` needs `key`: the parameter to count by, as in `key = user_id`"),
            );
        }
    }
    // Lists of what is stored show the key, so it is not useless there.
    let is_limited = per_key.into_iter().any(meant) || meant("rate") || meant("durable");
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
