//! The parameter that tasks are counted by: `key = user_id`.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::{Expr, Path};

use super::call::Call;
use super::parameter::{Parameter, Source};
use crate::errors::{Errors, did_you_mean, quoted};
use crate::syntax;

/// Reads the name that was given, which may be that of no parameter.
pub(super) fn name(value: &Expr, errors: &mut Errors) -> Option<Ident> {
    let name = syntax::path(value).and_then(Path::get_ident).cloned();
    if name.is_none() {
        errors.on(
            value,
            "`key` is the name of a parameter: `key = user_id`, without quotes",
        );
    }
    name
}

/// Returns the parameter of that name, if tasks can be counted by it.
pub(super) fn parameter<'a>(
    name: &Ident,
    call: &'a Call,
    errors: &mut Errors,
) -> Option<&'a Parameter> {
    let label = name.unraw().to_string();
    let Some(parameter) = call.parameters.iter().find(|other| other.label() == label) else {
        errors.on(name, unknown(&label, call));
        return None;
    };
    match parameter.source {
        Source::Field { secret: None, .. } => return Some(parameter),
        Source::Field { .. } => errors.on(
            name,
            format!(
                "logs and reports show a task's key, and `{label}` is `#[secret]`\n\
                 count by a parameter that may be seen, such as the number of the user it belongs to"
            ),
        ),
        Source::State => errors.on(name, supplied(&label, "state")),
        Source::Context => errors.on(name, supplied(&label, "context")),
    }
    None
}

fn supplied(label: &str, word: &str) -> String {
    format!(
        "`{label}` is `#[{word}]`, which the task has only when it runs\n\
         a key is known when the task is queued: one of its arguments"
    )
}

fn unknown(label: &str, call: &Call) -> String {
    let usable: Vec<_> = call
        .fields()
        .filter(|field| !field.is_secret())
        .map(Parameter::label)
        .collect();
    if let Some(meant) = did_you_mean(label, usable.iter().map(String::as_str)) {
        return format!("no parameter `{label}`, did you mean `{meant}`?");
    }
    let choice = if usable.is_empty() {
        "a key is one of the task's arguments, and there is none".to_owned()
    } else {
        format!("a key is one of {}", quoted(usable))
    };
    format!("no parameter `{label}`\n{choice}")
}
