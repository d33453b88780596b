//! The parameters of a task's function, and where each gets its value from when the task runs.

use proc_macro2::{Ident, Span, TokenStream};
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, LitStr, Meta, Pat, PatType, Type};

use super::durable::OldNames;
use super::kept::Kept;
use crate::errors::{Errors, did_you_mean};
use crate::source_text::source_text;

pub(super) struct Parameter {
    pub(super) name: Ident,
    pub(super) docs: Vec<Attribute>,
    /// The type as it is written.
    pub(super) ty: Type,
    pub(super) kept: Kept,
    pub(super) source: Source,
}

/// Where a parameter gets its value from.
pub(super) enum Source {
    /// The task has a field for it.
    Field {
        default: Option<Box<Expr>>,
        secret: Option<Secret>,
        /// With the word `was`.
        was: Option<(Ident, Vec<LitStr>)>,
    },
    /// A value that the application shares with its tasks.
    State,
    /// The run itself.
    Context,
}

/// An argument that is kept out of reports.
pub(super) enum Secret {
    /// And sealed where it is stored.
    Sealed,
    /// With the word that says so.
    StoredInClear(Ident),
}

impl Parameter {
    /// Reads a parameter, and removes from it the attributes that are not for the compiler.
    ///
    /// `index` is its place in the list. Returns a parameter to go on with even if something is wrong.
    pub(super) fn parse(index: usize, written: &mut PatType, errors: &mut Errors) -> Self {
        let mut helpers = Helpers::default();
        let mut docs = Vec::new();
        written.attrs.retain(|attr| {
            if attr.path().is_ident("doc") {
                docs.push(attr.clone());
                return false;
            }
            helpers.read(attr, errors) == Belongs::ToRustc
        });
        Self {
            name: name(index, &written.pat, errors),
            docs,
            ty: (*written.ty).clone(),
            kept: Kept::new(&written.ty, errors),
            source: helpers.source(errors),
        }
    }

    /// Its name as text.
    pub(super) fn label(&self) -> String {
        self.name.unraw().to_string()
    }

    /// The value of its field where nothing else is set, if it has one.
    pub(super) fn default(&self) -> Option<&Expr> {
        match &self.source {
            Source::Field { default, .. } => default.as_deref(),
            Source::State | Source::Context => None,
        }
    }

    /// Returns whether its value is the run itself.
    pub(super) fn is_context(&self) -> bool {
        matches!(self.source, Source::Context)
    }

    /// Returns whether its value is kept out of reports.
    pub(super) fn is_secret(&self) -> bool {
        self.secret().is_some()
    }

    /// How it is kept secret, if it is.
    pub(super) fn secret(&self) -> Option<&Secret> {
        match &self.source {
            Source::Field { secret, .. } => secret.as_ref(),
            Source::State | Source::Context => None,
        }
    }

    /// The names under which it may be stored, beside its own.
    pub(super) fn old_names(&self) -> &[LitStr] {
        match &self.source {
            Source::Field {
                was: Some((_, names)),
                ..
            } => names,
            _ => &[],
        }
    }
}

/// A name to give a field.
fn name(index: usize, pattern: &Pat, errors: &mut Errors) -> Ident {
    match pattern {
        Pat::Ident(pattern) if pattern.subpat.is_none() => pattern.ident.clone(),
        pattern => {
            errors.on(
                pattern,
                "a task keeps its arguments by name\n\
                 give this one a name, and take it apart in the body",
            );
            format_ident!("argument{index}")
        }
    }
}

const HELPERS: [&str; 5] = ["default", "state", "context", "secret", "was"];

#[derive(PartialEq, Eq)]
enum Belongs {
    ToTask,
    ToRustc,
}

/// The attributes of one parameter that say something about the task.
#[derive(Default)]
struct Helpers {
    default: Option<(Span, Expr)>,
    state: Option<Span>,
    context: Option<Span>,
    secret: Option<(Span, Secret)>,
    was: Option<(Ident, Vec<LitStr>)>,
}

impl Helpers {
    fn read(&mut self, attr: &Attribute, errors: &mut Errors) -> Belongs {
        let path = attr.path();
        // A path with `::` is a tool's, and an unknown word may be for another macro below.
        let Some(word) = path.get_ident() else {
            return Belongs::ToRustc;
        };
        let (ident, span) = (word.clone(), word.span());
        let word = word.to_string();
        match word.as_str() {
            "default" => {
                let value = default_value(attr, errors);
                set(&mut self.default, (span, value), attr, errors);
            }
            "state" => set(&mut self.state, alone(attr, span, errors), attr, errors),
            "context" => set(&mut self.context, alone(attr, span, errors), attr, errors),
            "secret" => {
                let secret = (span, secret(attr, errors));
                set(&mut self.secret, secret, attr, errors);
            }
            "was" => {
                let names = old_names(attr, errors);
                set(&mut self.was, (ident, names), attr, errors);
            }
            "cfg" | "cfg_attr" => errors.on(
                attr,
                "a task has the same parameters everywhere\n\
                 put `#[cfg]` on the function, and write one for each case",
            ),
            _ => match did_you_mean(&word, HELPERS) {
                Some(meant) => errors.on(
                    path,
                    format!("unknown attribute `{word}`, did you mean `{meant}`?"),
                ),
                None => return Belongs::ToRustc,
            },
        }
        Belongs::ToTask
    }

    /// Returns what the attributes say together.
    fn source(self, errors: &mut Errors) -> Source {
        let supplied = match (self.state, self.context) {
            (Some(_), Some(context)) => {
                errors.at(
                    context,
                    "a parameter is `#[state]` or `#[context]`, not both",
                );
                Some((Source::State, "state"))
            }
            (Some(_), None) => Some((Source::State, "state")),
            (None, Some(_)) => Some((Source::Context, "context")),
            (None, None) => None,
        };
        let Some((source, word)) = supplied else {
            return Source::Field {
                default: self.default.map(|(_, value)| Box::new(value)),
                secret: self.secret.map(|(_, secret)| secret),
                was: self.was,
            };
        };
        if let Some((span, _)) = self.default {
            errors.at(
                span,
                format!("`#[{word}]` comes from the runtime, and cannot have a default"),
            );
        }
        if let Some((was, _)) = self.was {
            errors.on(
                was,
                format!("`#[{word}]` comes from the runtime, and is not stored under any name"),
            );
        }
        if let Some((span, _)) = self.secret {
            errors.at(
                span,
                format!("`#[{word}]` is never reported: `#[secret]` is for arguments"),
            );
        }
        source
    }
}

fn set<T>(place: &mut Option<T>, value: T, attr: &Attribute, errors: &mut Errors) {
    if place.is_some() {
        errors.on(attr, "this parameter has the attribute already");
    }
    *place = Some(value);
}

fn default_value(attr: &Attribute, errors: &mut Errors) -> Expr {
    if let Meta::NameValue(meta) = &attr.meta {
        return meta.value.clone();
    }
    errors.on(attr, "`#[default]` needs a value: `#[default = 1]`");
    // It has a default, if not a known one, and so it is no argument of `new`.
    Expr::Verbatim(TokenStream::new())
}

/// `#[secret]`, or `#[secret(stored_in_clear)]`.
fn secret(attr: &Attribute, errors: &mut Errors) -> Secret {
    if let Meta::Path(_) = &attr.meta {
        return Secret::Sealed;
    }
    match attr.parse_args::<Ident>() {
        Ok(word) if word == "stored_in_clear" => Secret::StoredInClear(word),
        _ => {
            errors.on(
                &attr.meta,
                "write `#[secret]`, or `#[secret(stored_in_clear)]` on a durable task that may be stored with it in \
                 clear",
            );
            Secret::Sealed
        }
    }
}

/// `#[was("to")]`, or several.
fn old_names(attr: &Attribute, errors: &mut Errors) -> Vec<LitStr> {
    let names = attr.parse_args_with(OldNames::parse_terminated);
    let names: Vec<_> = names.into_iter().flatten().collect();
    if names.is_empty() {
        errors.on(
            &attr.meta,
            "`#[was]` is what this parameter was called before: `#[was(\"address\")]`",
        );
    }
    for name in &names {
        let value = name.value();
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        if value.is_empty() || !value.chars().all(is_part) {
            errors.on(name, "this was never the name of a parameter");
        }
    }
    names
}

fn alone(attr: &Attribute, span: Span, errors: &mut Errors) -> Span {
    if attr.meta.require_path_only().is_err() {
        let word = source_text(attr.path());
        errors.on(
            &attr.meta,
            format!("`{word}` takes no value: write `#[{word}]`"),
        );
    }
    span
}
