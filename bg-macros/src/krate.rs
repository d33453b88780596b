//! Where the generated code finds the runtime.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, Path};

use crate::errors::Errors;
use crate::settings::{Form, Key};
use crate::syntax;

/// The setting that every attribute has.
pub(crate) const KEY: Key = Key {
    name: "crate",
    form: Form::Value("::bg_runtime"),
    docs: "Where the runtime is, if it is not `::bg_runtime`.",
};

/// `::bg_runtime`, or what `crate = ..` says.
pub(crate) struct Krate(TokenStream);

impl Krate {
    /// Reads the value of the `crate` setting.
    pub(crate) fn new(setting: Option<Expr>, errors: &mut Errors) -> Self {
        match setting {
            None => Self(quote!(::bg_runtime)),
            Some(value) => Self::explicit(&value, errors),
        }
    }

    fn explicit(value: &Expr, errors: &mut Errors) -> Self {
        // A wrong path is reported and used: it often resolves where it stands, and then there is
        // this one error to read instead of one for each name under it.
        let path = if let Some(path) = syntax::path(value) {
            if !is_absolute(path) {
                errors.on(value, relative(path));
            }
            Some(path.clone())
        } else if let Some(text) = syntax::text(value) {
            errors.on(
                value,
                format!(
                    "`crate` is a path: write `crate = {}`, not a string",
                    text.value()
                ),
            );
            text.parse::<Path>().ok()
        } else {
            errors.on(value, "`crate` is a path: `crate = ::bg_runtime`");
            None
        };
        Self(path.map_or_else(|| quote!(::bg_runtime), ToTokens::into_token_stream))
    }
}

impl ToTokens for Krate {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// Returns whether the path means the same in every module. `$crate` is one token, in an attribute
/// that a `macro_rules!` macro writes.
fn is_absolute(path: &Path) -> bool {
    path.leading_colon.is_some()
        || path
            .segments
            .first()
            .is_some_and(|first| first.ident == "crate" || first.ident == "$crate")
}

/// The message for a path that is not absolute.
fn relative(path: &Path) -> String {
    let words = path
        .segments
        .iter()
        .map(|segment| segment.ident.to_string());
    let rest: Vec<_> = words
        .skip_while(|word| word == "self" || word == "super")
        .collect();
    let rest = rest.join("::");
    format!(
        "`crate` needs an absolute path, which means the same in every module\n\
         write `::{rest}` for a dependency, `crate::{rest}` for something in this crate, or \
         `$crate::{rest}` in a `macro_rules!` macro"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_text::source_text;

    /// The path for `crate = value`, and what is wrong with it.
    fn krate(value: &str) -> (String, String) {
        let value = syn::parse_str(value).expect("an expression");
        let (krate, errors) = Errors::collect(|errors| Krate::new(Some(value), errors));
        (source_text(krate), errors.to_string())
    }

    #[test]
    fn an_absolute_path_to_the_runtime_is_used_as_it_is() {
        for path in ["::bg_runtime", "::a::b", "crate::a"] {
            assert_eq!(krate(path), (path.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_wrong_path_to_the_runtime_is_reported_and_used() {
        for (value, path, reason) in [
            ("tasks", "tasks", "write `::tasks`"),
            ("self::tasks", "self::tasks", "write `::tasks`"),
            (
                "super::super::tasks",
                "super::super::tasks",
                "write `::tasks`",
            ),
            (
                "\"::tasks\"",
                "::tasks",
                "write `crate = ::tasks`, not a string",
            ),
            ("\"\"", "::bg_runtime", "is a path"),
            ("7", "::bg_runtime", "is a path"),
        ] {
            let (used, errors) = krate(value);
            assert_eq!(used, path, "{value}");
            assert!(errors.contains(reason), "{value}: {errors}");
        }
    }
}
