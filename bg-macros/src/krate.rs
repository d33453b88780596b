//! Where the generated code finds the runtime.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Expr, Path};

use crate::errors::Errors;
use crate::source_text::source_text;

/// `::bg_runtime`, or what `crate = ..` says.
pub(crate) struct Krate(TokenStream);

impl Krate {
    /// From the value of the `crate` setting.
    pub(crate) fn new(setting: Option<Expr>, errors: &mut Errors) -> Self {
        match setting {
            None => Self(quote!(::bg_runtime)),
            Some(value) => Self::explicit(&value, errors),
        }
    }

    fn explicit(value: &Expr, errors: &mut Errors) -> Self {
        // A path that is wrong is reported and used: it often resolves where it stands, and then
        // there is this one error to read instead of one for each name under it.
        let path = match value {
            Expr::Path(path) if path.qself.is_none() => {
                if !is_absolute(&path.path) {
                    errors.on(value, relative(&source_text(value)));
                }
                Some(path.path.clone())
            }
            Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => {
                errors.on(
                    value,
                    format!("`crate` is a path, not a string: `crate = {}`", text.value()),
                );
                text.parse::<Path>().ok()
            }
            _ => {
                errors.on(value, "`crate` is a path: `crate = ::bg_runtime`");
                None
            }
        };
        Self(path.map_or_else(|| quote!(::bg_runtime), ToTokens::into_token_stream))
    }
}

impl ToTokens for Krate {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// `$crate`, in an attribute written by a `macro_rules!` macro, is a token of its own.
fn is_absolute(path: &Path) -> bool {
    path.leading_colon.is_some()
        || path
            .segments
            .first()
            .is_some_and(|first| first.ident == "crate" || first.ident == "$crate")
}

fn relative(written: &str) -> String {
    format!(
        "`crate` needs an absolute path, which means the same in every module\n\
         write `::{written}` for a dependency, `crate::{written}` for something in this crate, or \
         `$crate::{written}` in a `macro_rules!` macro"
    )
}
