//! From tokens to a model of the task: what its settings are, and what a call of it is made of.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::{Expr, FnArg, LitStr, Path, Safety, Signature};

use super::duration;
use super::parameter::{Parameter, Source};
use crate::errors::Errors;
use crate::function::Function;
use crate::krate::Krate;
use crate::settings::{self, Key};

pub(super) const SETTINGS: &[Key] = &[
    Key {
        name: "name",
        example: Some("\"emails.welcome\""),
        docs: "The task's name in logs and reports. Without it: the module path and the function.\n\n\
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
    pub(super) timeout: Option<Timeout>,
    pub(super) on_error: Option<Path>,
    /// What stands where a setting's name belongs, known or not.
    pub(super) words: Vec<Ident>,
}

pub(super) enum Timeout {
    Millis(u64),
    /// A constant of type `Duration`.
    Constant(Expr),
}

/// What a call of the function is made of.
pub(super) struct Call {
    /// The struct's name.
    pub(super) name: Ident,
    pub(super) parameters: Vec<Parameter>,
}

impl Call {
    /// The parameters that the task has a field for.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters
            .iter()
            .filter(|parameter| matches!(parameter.source, Source::Field { .. }))
    }
}

/// What `#[background_task(args)]` says.
pub(super) fn settings(args: TokenStream, errors: &mut Errors) -> Settings {
    let mut given = settings::Settings::parse(args, SETTINGS, errors);
    Settings {
        krate: Krate::new(given.value("crate"), errors),
        name: given
            .value("name")
            .and_then(|value| name(&value, errors)),
        timeout: given
            .value("timeout")
            .and_then(|value| timeout(value, errors)),
        on_error: given
            .value("on_error")
            .and_then(|value| on_error(value, errors)),
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

/// What a call of `function` is made of, and no more of the attributes that said so.
///
/// Nothing if it cannot be called, or its struct not be named.
pub(super) fn call(function: &mut Function, errors: &mut Errors) -> Option<Call> {
    let name = struct_name(&function.sig.ident, errors);
    refuse_modifiers(&function.sig, errors);
    // Of a body nothing is known, but `fn f();` ends in a semicolon.
    if !matches!(function.body.clone().into_iter().next(), Some(TokenTree::Group(_))) {
        errors.on(&function.sig, "a task needs a body");
    }
    let mut parameters = Vec::new();
    for (index, input) in function.sig.inputs.iter_mut().enumerate() {
        match input {
            FnArg::Typed(written) => parameters.push(Parameter::parse(index, written, errors)),
            FnArg::Receiver(receiver) => {
                errors.on(
                    receiver.self_token,
                    "a task is a function of its own, not a method\n\
                     move it out of the `impl`; what it needs of `self` can be parameters, or \
                     `#[state]` if the application shares it",
                );
                return None;
            }
        }
    }
    refuse_second_context(&parameters, errors);
    refuse_setter_called_new(&parameters, errors);
    Some(Call {
        name: name?,
        parameters,
    })
}

/// `SendEmail` for `send_email`, at the same place.
fn struct_name(function: &Ident, errors: &mut Errors) -> Option<Ident> {
    let snake = function.unraw().to_string();
    let words = snake.trim_start_matches('_');
    let underscores = &snake[..snake.len() - words.len()];
    let camel: String = words.split('_').map(capitalized).collect();
    let camel = format!("{underscores}{camel}");
    // Parsing also refuses `Self`, which is what `self_` comes to.
    match syn::parse_str::<Ident>(&camel) {
        Ok(mut name) if camel != snake => {
            name.set_span(function.span());
            Some(name)
        }
        _ => {
            errors.on(
                function,
                format!(
                    "this task's struct would be called `{camel}`\n\
                     give the function a name in snake case, such as `send_email` for `SendEmail`"
                ),
            );
            None
        }
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

fn refuse_modifiers(sig: &Signature, errors: &mut Errors) {
    if let Some(constness) = &sig.constness {
        errors.on(
            constness,
            "a task runs in the background, never in a constant\nremove `const`",
        );
    }
    if let Safety::Unsafe(unsafety) = &sig.safety {
        errors.on(
            unsafety,
            "a task is run by the runtime, which cannot promise what an `unsafe fn` asks for\n\
             make it safe, with an `unsafe` block in its body",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.on(
            abi,
            "a task is called from Rust alone\nremove the `extern`, or call the function from a task",
        );
    }
    if let Some(variadic) = &sig.variadic {
        errors.on(variadic, "a task has a fixed number of parameters");
    }
    if !sig.generics.params.is_empty() {
        errors.on(&sig.generics.params, generic(sig));
    }
}

fn generic(sig: &Signature) -> &'static str {
    if sig.generics.type_params().next().is_none() && sig.generics.const_params().next().is_none() {
        "a task runs when its caller is gone, and cannot borrow for a lifetime\n\
         write `&str` for `&'a str`: the task keeps a `String`, and lends it"
    } else {
        "a task is one type, known when the program starts, so it cannot be generic\n\
         write a task for each type, and have them call the generic function"
    }
}

fn refuse_second_context(parameters: &[Parameter], errors: &mut Errors) {
    let contexts = parameters
        .iter()
        .filter(|parameter| matches!(parameter.source, Source::Context));
    for second in contexts.skip(1) {
        errors.on(
            &second.name,
            "a run has one context: this is the second `#[context]`",
        );
    }
}

fn refuse_setter_called_new(parameters: &[Parameter], errors: &mut Errors) {
    for parameter in parameters {
        let is_setter = matches!(parameter.source, Source::Field { default: Some(_), .. });
        if is_setter && parameter.name == "new" {
            errors.on(
                &parameter.name,
                "a parameter with a default becomes a setter, and `new` is taken\n\
                 give it another name",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(function: &str) -> Option<String> {
        let function: Ident = syn::parse_str(function).expect("an identifier");
        let (name, errors) = Errors::collect(|errors| struct_name(&function, errors));
        assert_eq!(name.is_none(), !errors.is_empty());
        name.map(|name| name.to_string())
    }

    #[test]
    fn struct_names() {
        for (function, name) in [
            ("send_email", "SendEmail"),
            ("send", "Send"),
            ("send_2fa_code", "Send2faCode"),
            ("_unused", "_Unused"),
            ("type_", "Type"),
            ("double__underscore", "DoubleUnderscore"),
            ("r#async", "Async"),
            ("élan", "Élan"),
        ] {
            assert_eq!(named(function).as_deref(), Some(name));
        }
    }

    #[test]
    fn names_that_leave_nothing_to_call_the_struct() {
        for function in ["SendEmail", "self_", "_1", "__", "発送"] {
            assert_eq!(named(function), None, "{function}");
        }
    }
}
