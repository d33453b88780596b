//! What a durable task says about how it is stored: `durable, queue = "slow", unique = [id], was = "old.name"`.

use proc_macro2::Ident;
use syn::ext::IdentExt as _;
use syn::punctuated::Punctuated;
use syn::visit_mut::VisitMut;
use syn::{Expr, LitStr, Path, Token, TypeReference};

use super::call::Call;
use super::parameter::{Parameter, Secret, Source};
use super::settings::Settings;
use crate::errors::{Errors, did_you_mean, quoted};
use crate::{settings, syntax};

pub(super) struct Durable {
    /// The word `durable`.
    pub(super) word: Ident,
    pub(super) queue: Option<LitStr>,
    pub(super) unique: Option<Unique>,
    pub(super) was: Vec<LitStr>,
}

/// With which other tasks one is the same.
pub(super) struct Unique {
    word: Ident,
    /// Those with the same values of these. `None` for all arguments.
    by: Option<Vec<Ident>>,
}

impl Unique {
    /// The names of the parameters that are compared. `None` for all.
    pub(super) fn labels(&self) -> Option<Vec<String>> {
        let by = self.by.as_ref()?;
        Some(by.iter().map(|name| name.unraw().to_string()).collect())
    }
}

/// Reads what is set. `None` if the task is not durable.
pub(super) fn parse(given: &mut settings::Settings, errors: &mut Errors) -> Option<Durable> {
    let words = given.words();
    let word = words.iter().find(|word| *word == "durable").cloned();
    let unique_word = words.iter().find(|word| *word == "unique").cloned();
    let queue = given.value("queue").and_then(|value| queue(&value, errors));
    let was = given.value("was").map(|value| was(&value, errors));
    let by = given.value("unique").map(|value| names(&value, errors));
    let unique = unique_word.map(|word| Unique { word, by });
    Some(Durable {
        word: word?,
        queue,
        unique,
        was: was.unwrap_or_default(),
    })
}

const NAME: &str =
    "2 to 127 of `A` to `Z`, `a` to `z`, digits and `_-[]<>/.·:+`, the first no mark but `_`";

/// Reports a name that an engine refuses. All do, so that a task can move from one to another.
pub(super) fn check_name(name: &LitStr, errors: &mut Errors) {
    if !is_name(&name.value()) {
        errors.on(
            name,
            format!("no task can be stored under this name\na durable task's name is {NAME}"),
        );
    }
}

/// River's rule, which is the strictest.
fn is_name(name: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    (2..=127).contains(&name.len())
        && name.starts_with(is_word)
        && name.chars().all(|c| is_word(c) || "-[]<>/.·:+".contains(c))
}

fn queue(value: &Expr, errors: &mut Errors) -> Option<LitStr> {
    let Some(queue) = syntax::text(value) else {
        errors.on(value, "`queue` is text: `queue = \"slow\"`");
        return None;
    };
    if !is_queue(&queue.value()) {
        errors.on(
            queue,
            "this cannot be the name of a queue\n\
             it is 1 to 64 of `a` to `z`, digits, and single `_`, `-` or `|` between them",
        );
        return None;
    }
    Some(queue.clone())
}

/// River's rule.
fn is_queue(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let words = name.split(['_', '-', '|']);
    name.len() <= 64
        && words
            .into_iter()
            .all(|word| !word.is_empty() && word.chars().all(is_letter))
}

/// One old name, or a list of them.
fn was(value: &Expr, errors: &mut Errors) -> Vec<LitStr> {
    let values: Vec<_> = match value {
        Expr::Array(array) => array.elems.iter().collect(),
        value => vec![value],
    };
    let mut names = Vec::new();
    for value in values {
        let Some(name) = syntax::text(value) else {
            errors.on(
                value,
                "`was` is the old name of this task: `was = \"emails.hello\"`, or a list of them",
            );
            continue;
        };
        check_name(name, errors);
        names.push(name.clone());
    }
    names
}

/// `[event_id, user]`
fn names(value: &Expr, errors: &mut Errors) -> Vec<Ident> {
    let Expr::Array(array) = value else {
        errors.on(
            value,
            "`unique` is a list of parameters: `unique = [event_id]`, or stands alone for all of them",
        );
        return Vec::new();
    };
    if array.elems.is_empty() {
        errors.on(array, "without a parameter, all of these tasks would be the same\nname one, or write `unique` alone for all");
    }
    let mut names = Vec::new();
    for element in &array.elems {
        match syntax::path(element).and_then(Path::get_ident) {
            Some(name) => names.push(name.clone()),
            None => errors.on(
                element,
                "this is the name of a parameter, without quotes: `unique = [event_id]`",
            ),
        }
    }
    names
}

/// Reports what does not fit together: a setting with another, or with a parameter.
pub(super) fn check(settings: &Settings, call: &Call, errors: &mut Errors) {
    match &settings.durable {
        Some(durable) => {
            check_unique(durable, settings, call, errors);
            check_old_names(settings, durable, errors);
            check_old_parameters(call, errors);
            refuse_static_references(call, errors);
        }
        None => refuse_what_is_for_durable_tasks(call, errors),
    }
}

fn check_unique(durable: &Durable, settings: &Settings, call: &Call, errors: &mut Errors) {
    let Some(unique) = &durable.unique else {
        return;
    };
    let counted = settings
        .limits
        .iter()
        .find(|(word, _)| word == "max_unfinished_per_key");
    if let Some((word, _)) = counted {
        errors.on(
            word,
            "a task is `unique` by its arguments, or counted by its key, not both\n\
             leave out one of the two",
        );
    }
    let Some(by) = &unique.by else {
        if let Some(secret) = call.fields().find(|field| field.is_secret()) {
            errors.on(
                &unique.word,
                format!(
                    "the argument `{}` is `#[secret]`, and cannot be compared\n\
                     name those that make a task the same as another, as in `unique = [event_id]`",
                    secret.label()
                ),
            );
        }
        return;
    };
    for (at, name) in by.iter().enumerate() {
        let label = name.unraw().to_string();
        if by[..at].contains(name) {
            errors.on(name, format!("`{label}` is named twice"));
            continue;
        }
        let parameter = call.parameters.iter().find(|other| other.label() == label);
        match parameter.map(|parameter| &parameter.source) {
            None => errors.on(name, no_parameter(&label, call)),
            Some(Source::Field { secret: None, .. }) => {}
            Some(Source::Field { .. }) => errors.on(
                name,
                format!("`{label}` is `#[secret]`, and cannot be compared"),
            ),
            Some(Source::State | Source::Context) => errors.on(
                name,
                format!("`{label}` comes from the runtime, and is not stored with the task"),
            ),
        }
    }
}

fn no_parameter(label: &str, call: &Call) -> String {
    let fields = call.fields().filter(|field| !field.is_secret());
    let usable: Vec<_> = fields.map(Parameter::label).collect();
    match did_you_mean(label, usable.iter().map(String::as_str)) {
        Some(meant) => format!("no parameter `{label}`, did you mean `{meant}`?"),
        None if usable.is_empty() => format!("no parameter `{label}`, and none to compare"),
        None => format!(
            "no parameter `{label}`\n`unique` names some of {}",
            quoted(usable)
        ),
    }
}

fn check_old_names(settings: &Settings, durable: &Durable, errors: &mut Errors) {
    let name = settings.name.as_ref().map(LitStr::value);
    for (at, old) in durable.was.iter().enumerate() {
        let value = old.value();
        if name.as_ref() == Some(&value) {
            errors.on(old, "this is the task's name now");
        } else if durable.was[..at].iter().any(|other| other.value() == value) {
            errors.on(old, "this old name is given twice");
        }
    }
}

fn check_old_parameters(call: &Call, errors: &mut Errors) {
    let olds: Vec<_> = call.fields().flat_map(Parameter::old_names).collect();
    for (at, old) in olds.iter().enumerate() {
        let value = old.value();
        if call.fields().any(|field| field.label() == value) {
            errors.on(
                old,
                format!(
                    "a parameter is called `{value}` now, and what is stored as that is its own"
                ),
            );
        } else if olds[..at].iter().any(|other| other.value() == value) {
            errors.on(old, format!("`{value}` is given as an old name already"));
        }
    }
}

/// rustc would say that an implementation of serde is "not general enough".
fn refuse_static_references(call: &Call, errors: &mut Errors) {
    for field in call.fields().filter(|field| !field.kept.lent) {
        let mut references = References { found: None };
        references.visit_type_mut(&mut field.ty.clone());
        if let Some(reference) = references.found {
            errors.on(
                reference,
                "what is stored is read into memory of its own, and nothing refers to it for ever\n\
                 own it, as in `String`, or borrow it, as in `&str`",
            );
        }
    }
}

/// Looks for the first reference in a type.
struct References {
    found: Option<TypeReference>,
}

impl VisitMut for References {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        self.found.get_or_insert_with(|| reference.clone());
    }
}

fn refuse_what_is_for_durable_tasks(call: &Call, errors: &mut Errors) {
    for parameter in &call.parameters {
        let Source::Field { secret, was, .. } = &parameter.source else {
            continue;
        };
        if let Some((word, _)) = was {
            errors.on(
                word,
                "`#[was]` is for what is stored under an old name, and this task is not `durable`",
            );
        }
        if let Some(Secret::StoredInClear(word)) = secret {
            errors.on(
                word,
                "this task is not `durable`, and its arguments are not stored: write `#[secret]`",
            );
        }
    }
}

/// Reads `"old", ..`, which stands in parentheses.
pub(super) type OldNames = Punctuated<LitStr, Token![,]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_an_engine_refuses_is_no_name_of_a_durable_task() {
        let longest = "a".repeat(127);
        for name in ["ab", "emails.welcome", "_x", "A-[]<>/.·:+9", &longest] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(128);
        for name in [
            "", "a", ".a", "·a", "a b", "é1", "aé", "a,b", "a\0", &too_long,
        ] {
            assert!(!is_name(name), "{name}");
        }
    }

    #[test]
    fn a_queue_is_lower_case_words_with_single_marks_between_them() {
        let longest = "a".repeat(64);
        for name in ["0", "a-b", "a|b", "tenant|priority_emails-2", &longest] {
            assert!(is_queue(name), "{name}");
        }
        let too_long = "a".repeat(65);
        for name in ["", "-a", "A", "a b", "a-", "a.b", "a__b", "a_|b", &too_long] {
            assert!(!is_queue(name), "{name}");
        }
    }
}
