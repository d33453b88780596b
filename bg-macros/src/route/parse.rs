//! From the tokens of an attribute to what it says about a route.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, LitStr, Token};

use super::{Methods, path};
use crate::errors::{Errors, unknown};
use crate::krate::{self, Krate};
use crate::settings::{self, Form, Key};
use crate::syntax;

const METHODS: Key = Key {
    name: "methods",
    form: Form::Value("[GET, POST]"),
    docs: "The methods that the route answers to.\n\n```ignore\nmethods = [GET, POST]\n```",
};

const BACKGROUND: Key = Key {
    name: "background",
    form: Form::Value("SendEmail::new(&user.email)"),
    docs: "The task to run after the response, or a list of them. Evaluated for each request before \
           the handler, whose arguments it sees.\n\n\
           ```ignore\nbackground = [SendEmail::new(&user.email), UpdateAnalytics]\n```",
};

const DETACH: Key = Key {
    name: "detach",
    form: Form::Flag,
    docs: "Finishes the handler, and runs its tasks, even if the client goes away.",
};

/// The settings of an attribute for `methods`.
pub(super) fn known(methods: Methods) -> &'static [Key] {
    match methods {
        Methods::One(_) => &[BACKGROUND, DETACH, krate::KEY],
        Methods::Listed => &[METHODS, BACKGROUND, DETACH, krate::KEY],
    }
}

pub(super) struct Settings {
    pub(super) krate: Krate,
    pub(super) path: Option<Path>,
    /// Variants of the runtime's `Method`, each on the token it was read from.
    pub(super) methods: Vec<Ident>,
    pub(super) background: Option<Expr>,
    pub(super) detach: bool,
    /// Every word in the place of a setting's name, known or not.
    pub(super) words: Vec<Ident>,
}

/// A path without mistakes.
pub(super) struct Path {
    pub(super) literal: LitStr,
    pub(super) parameters: Vec<String>,
}

/// Reads the attribute for `methods`, at `place` and with `args` in its parentheses.
pub(super) fn settings(
    methods: Methods,
    args: TokenStream,
    place: Span,
    errors: &mut Errors,
) -> Settings {
    let parser = |input: ParseStream<'_>| {
        let path = path(input, place, errors);
        Ok((
            path,
            settings::Settings::read(input, known(methods), errors),
        ))
    };
    let read = parser.parse2(args);
    let (path, mut given) = errors.ok(read).unwrap_or_default();
    let methods = match methods {
        Methods::One(name) => one(name).into_iter().collect(),
        Methods::Listed => methods_setting(&mut given, path.as_ref(), errors),
    };
    Settings {
        krate: Krate::new(given.value("crate"), errors),
        path: path.and_then(|literal| checked(literal, errors)),
        methods,
        background: given.value("background"),
        detach: given.flag("detach").is_some(),
        words: given.words().to_vec(),
    }
}

/// Reads the path, and the comma after it.
fn path(input: ParseStream<'_>, place: Span, errors: &mut Errors) -> Option<LitStr> {
    if input.is_empty() || is_setting(input) {
        if let Some(literal) = misplaced(input) {
            errors.at(literal.span(), "the path comes before the settings");
            // The rest is skipped. With the path first, it may be right.
            errors.ok(input.parse::<TokenStream>());
        } else {
            errors.at(place, "a route needs a path: `\"/users/{id}\"`");
        }
        return None;
    }
    let written = errors.ok(input.parse()).map(syntax::ungrouped);
    let literal = written.as_ref().and_then(syntax::text).cloned();
    if let (Some(written), None) = (&written, &literal) {
        errors.on(
            written,
            "the path is a string literal: its parameters are read when it is compiled",
        );
    }
    if !input.is_empty() && !input.peek(Token![,]) {
        errors.push(input.error("expected `,`"));
    }
    settings::skip_past_comma(input);
    literal
}

/// Returns whether a setting comes next, where the path should be.
fn is_setting(input: ParseStream<'_>) -> bool {
    let word = input.fork().call(Ident::parse_any);
    word.is_ok_and(|word| word == DETACH.name || input.peek2(Token![=]))
}

/// The path, if it is among the settings.
fn misplaced(input: ParseStream<'_>) -> Option<LitStr> {
    let rest: TokenStream = input.fork().parse().ok()?;
    let mut after_comma = false;
    for tree in rest {
        let is_comma = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ',');
        if after_comma {
            if let Ok(literal) = syn::parse2(tree.into()) {
                return Some(literal);
            }
        }
        after_comma = is_comma;
    }
    None
}

fn checked(literal: LitStr, errors: &mut Errors) -> Option<Path> {
    match path::parameters(&literal.value()) {
        Ok(parameters) => Some(Path {
            literal,
            parameters,
        }),
        Err(mistakes) => {
            for mistake in mistakes {
                errors.at(literal.span(), mistake);
            }
            None
        }
    }
}

/// A method as its attribute, HTTP, and the runtime's `Method` call it: a variant that is not there is an
/// error in the user's crate.
const NAMES: [(&str, &str, &str); 7] = [
    ("get", "GET", "Get"),
    ("post", "POST", "Post"),
    ("put", "PUT", "Put"),
    ("patch", "PATCH", "Patch"),
    ("delete", "DELETE", "Delete"),
    ("head", "HEAD", "Head"),
    ("options", "OPTIONS", "Options"),
];

/// Returns whether this is the name of an attribute that makes a route.
pub(super) fn is_attribute(name: &Ident) -> bool {
    name == "route" || NAMES.iter().any(|(attribute, ..)| name == attribute)
}

fn one(attribute: &str) -> Option<Ident> {
    let (.., variant) = NAMES.iter().find(|(name, ..)| *name == attribute)?;
    Some(format_ident!("{variant}"))
}

fn methods_setting(
    given: &mut settings::Settings,
    path: Option<&LitStr>,
    errors: &mut Errors,
) -> Vec<Ident> {
    if let Some(value) = given.value(METHODS.name) {
        return listed_methods(&value, errors);
    }
    // A path that is wrong has an error of its own, and so has a mistake in `methods`.
    let is_tried = given.words().iter().any(|word| word == METHODS.name);
    if let (Some(path), false) = (path, is_tried) {
        errors.at(
            path.span(),
            "a route needs its methods: `methods = [GET, POST]`",
        );
    }
    Vec::new()
}

fn listed_methods(value: &Expr, errors: &mut Errors) -> Vec<Ident> {
    let Expr::Array(list) = value else {
        errors.on(value, "`methods` is a list: `methods = [GET, POST]`");
        return Vec::new();
    };
    if list.elems.is_empty() {
        errors.on(
            value,
            "a route answers to one method at least: `methods = [GET, POST]`",
        );
    }
    let mut methods: Vec<Ident> = Vec::new();
    for element in &list.elems {
        match method(element) {
            Ok(method) if methods.contains(&method) => {
                errors.on(element, "this method is in the list already");
            }
            Ok(method) => methods.push(method),
            Err(message) => errors.on(element, message),
        }
    }
    methods
}

fn method(written: &Expr) -> Result<Ident, String> {
    let Some(word) = syntax::path(written).and_then(syn::Path::get_ident) else {
        return Err("a method is a word: `GET`".to_owned());
    };
    if let Some((.., variant)) = NAMES.iter().find(|(_, name, _)| word == name) {
        return Ok(format_ident!("{variant}", span = word.span()));
    }
    let names = NAMES.iter().map(|(_, name, _)| *name);
    Err(unknown("method", word, names))
}
