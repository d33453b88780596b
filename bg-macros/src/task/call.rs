//! A call of the function as a value: the struct's name, and its parameters.

use proc_macro2::{Ident, TokenTree};
use syn::ext::IdentExt as _;
use syn::{FnArg, Safety, Signature};

use super::parameter::{Parameter, Source};
use crate::errors::Errors;
use crate::function::Function;
use crate::syntax::mentions;

/// A call of the function.
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

    /// Returns whether the task keeps others of its own kind, as in
    /// `fn walk(next: Option<Box<Walk>>)`.
    pub(super) fn holds_its_own_kind(&self) -> bool {
        self.fields()
            .any(|field| mentions(field.kept.ty.clone(), &self.name))
    }
}

/// Reads a call of `function`, and removes the attributes of parameters that say something about it.
///
/// `None` if there can be no struct: it has no name, or the function is in a trait or an `impl`.
pub(super) fn parse(function: &mut Function, errors: &mut Errors) -> Option<Call> {
    let name = struct_name(&function.sig.ident, errors);
    refuse_modifiers(&function.sig, errors);
    let mut parameters = Vec::new();
    for (index, input) in function.sig.inputs.iter_mut().enumerate() {
        if let FnArg::Typed(written) = input {
            parameters.push(Parameter::parse(index, written, errors));
        }
    }
    refuse_second_of_a_name(&parameters, errors);
    refuse_second_context(&parameters, errors);
    refuse_setter_called_new(&parameters, errors);
    refuse_setter_that_hides_a_method(&parameters, errors);
    let is_free = is_free(function, errors);
    let name = name.filter(|_| is_free)?;
    Some(Call { name, parameters })
}

/// Returns whether it is a function of its own, as far as its tokens tell.
fn is_free(function: &Function, errors: &mut Errors) -> bool {
    if let Some(receiver) = function.sig.receiver() {
        errors.on(
            receiver.self_token,
            "a task is a function of its own, not a method\n\
             move it out of the `impl`; what it needs of `self` can be parameters, or `#[state]` \
             if the application shares it",
        );
        return false;
    }
    // The body is not parsed, but that of `fn f();` is a semicolon.
    let has_body = matches!(
        function.body.clone().into_iter().next(),
        Some(TokenTree::Group(_))
    );
    if !has_body {
        errors.on(&function.sig, "a task needs a body");
    }
    has_body
}

/// `SendEmail` for `send_email`, at the same place.
fn struct_name(function: &Ident, errors: &mut Errors) -> Option<Ident> {
    let snake = function.unraw().to_string();
    let words = snake.trim_start_matches('_');
    let underscores = &snake[..snake.len() - words.len()];
    let camel: String = words.split('_').map(capitalized).collect();
    let camel = format!("{underscores}{camel}");
    // Parsing also refuses `Self`, which `self_` becomes.
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
            "a task is called from Rust alone\n\
             remove the `extern`, or call the function from a task",
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

/// rustc reports the function too, but then also the struct, and each use of its fields.
fn refuse_second_of_a_name(parameters: &[Parameter], errors: &mut Errors) {
    for (index, parameter) in parameters.iter().enumerate() {
        let name = &parameter.name;
        if parameters[..index]
            .iter()
            .any(|earlier| earlier.name == *name)
        {
            errors.on(
                name,
                format!("a task keeps its arguments by name, and another is called `{name}`"),
            );
        }
    }
}

fn refuse_second_context(parameters: &[Parameter], errors: &mut Errors) {
    let contexts = parameters.iter().filter(|parameter| parameter.is_context());
    for second in contexts.skip(1) {
        errors.on(
            &second.name,
            "a run has one context: this is the second `#[context]`",
        );
    }
}

fn refuse_setter_called_new(parameters: &[Parameter], errors: &mut Errors) {
    for parameter in parameters {
        let is_setter = parameter.default().is_some();
        if is_setter && parameter.name == "new" {
            errors.on(
                &parameter.name,
                "a parameter with a default becomes a setter, and `new` is taken\n\
                 give it another name",
            );
        }
    }
}

/// The methods of the runtime's `TaskExt`, with every feature.
const METHODS: [&str; 14] = [
    "always",
    "at",
    "delay",
    "expires_in",
    "in_process",
    "independent",
    "on_error_response",
    "queue",
    "queue_priority",
    "retries",
    "timeout",
    "unique",
    "unique_for",
    "into_task",
];

/// A method of the struct goes before one of a trait, without a word.
fn refuse_setter_that_hides_a_method(parameters: &[Parameter], errors: &mut Errors) {
    for parameter in parameters {
        let label = parameter.label();
        if parameter.default().is_some() && METHODS.contains(&label.as_str()) {
            errors.on(
                &parameter.name,
                format!(
                    "a parameter with a default becomes a setter, which would hide the method `{label}` of every task\n\
                     give it another name"
                ),
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
    fn a_struct_has_the_name_of_its_function_in_camel_case() {
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
    fn a_function_name_that_leaves_no_name_for_the_struct_is_refused() {
        for function in ["SendEmail", "self_", "_1", "__", "発送"] {
            assert_eq!(named(function), None, "{function}");
        }
    }
}
