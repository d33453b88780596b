//! The settings of a task: what may be written, and what it comes to.

use proc_macro2::{Ident, TokenStream};
use syn::{Expr, LitStr, Path};

use super::duration;
use crate::errors::Errors;
use crate::krate::Krate;
use crate::settings::{self, Key};

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
        name: "on_error",
        example: Some("report_failure"),
        docs: "A function that is told of each failure of this task.\n\n\
               ```ignore\non_error = report_failure // fn report_failure(failure: &TaskFailure)\n```",
    },
    Key {
        name: "crate",
        example: Some("::bg_runtime"),
        docs: "Where the runtime is, if it is not `::bg_runtime`.",
    },
];

pub(super) struct Settings {
    pub(super) krate: Krate,
    pub(super) name: Option<LitStr>,
    /// With the word that it is set by.
    pub(super) timeout: Option<(Ident, Timeout)>,
    pub(super) on_error: Option<(Ident, Path)>,
    /// What stands where a setting's name belongs, known or not.
    pub(super) words: Vec<Ident>,
}

pub(super) enum Timeout {
    Millis(u64),
    /// A constant of type `Duration`.
    Constant(Expr),
}

/// What `#[background_task(args)]` says.
pub(super) fn parse(args: TokenStream, errors: &mut Errors) -> Settings {
    let mut given = settings::Settings::parse(args, KNOWN, errors);
    Settings {
        krate: Krate::new(given.value("crate"), errors),
        name: given.value("name").and_then(|value| name(&value, errors)),
        timeout: given
            .entry("timeout")
            .and_then(|(word, value)| Some((word, timeout(value, errors)?))),
        on_error: given
            .entry("on_error")
            .and_then(|(word, value)| Some((word, on_error(value, errors)?))),
        words: given.words().to_vec(),
    }
}

fn name(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let Some(name) = settings::text(value) else {
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

fn timeout(value: Expr, errors: &mut Errors) -> Option<Timeout> {
    if let Some(text) = settings::text(&value) {
        return match duration::millis(&text.value()) {
            Ok(0) => {
                errors.on(value, "a timeout of zero ends every run before it begins");
                None
            }
            Ok(millis) => Some(Timeout::Millis(millis)),
            Err(message) => {
                errors.on(value, message);
                None
            }
        };
    }
    if let Expr::Lit(literal) = &value {
        errors.on(literal, "a timeout has a unit: `timeout = \"30s\"`");
        return None;
    }
    Some(Timeout::Constant(value))
}

fn on_error(value: Expr, errors: &mut Errors) -> Option<Path> {
    match value {
        Expr::Path(path) if path.qself.is_none() => Some(path.path),
        value => {
            errors.on(
                value,
                "`on_error` is the path of a function: `on_error = report_failure`",
            );
            None
        }
    }
}
