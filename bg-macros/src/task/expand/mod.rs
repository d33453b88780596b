//! From the model of a task to its code.
//!
//! Tokens that an error message may be about have the plain span of what the user wrote: a span that is
//! marked as a macro's adds "this error originates in the attribute macro" to each message. clippy then
//! takes the code for the user's own, which is what [`lints`] is for.

mod definition;
mod durable;
mod implementation;
mod record;
mod stub;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;

pub(super) use self::stub::stub;
use super::call::Call;
use super::durable::Durable;
use super::parameter::Parameter;
use super::settings::Settings;
use crate::function::Function;

/// The struct of a task, how to make one, and how it runs.
pub(super) fn task(
    function: &Function,
    call: &Call,
    key: Option<&Parameter>,
    durable: Option<&Durable>,
    settings: &Settings,
) -> TokenStream {
    let definition = definition::expand(function, call, &settings.krate);
    let implementation = implementation::expand(function, call, key, durable, settings);
    quote! {
        #definition
        #implementation
    }
}

/// Silences what the compiler and clippy say about hand-written code alone.
fn lints() -> TokenStream {
    quote! {
        #[allow(
            deprecated,
            missing_copy_implementations,
            missing_debug_implementations,
            unused_qualifications,
            clippy::all,
            clippy::nursery,
            clippy::pedantic,
        )]
    }
}

/// A link to the function, in documentation.
fn link(function: &Ident) -> String {
    // A module, or the type that a route attribute makes, may have the same name.
    let name = function.unraw();
    format!("[`{name}`](fn@{function})")
}

/// A variable for the parameter at `index`, whose own name might be that of another variable, or of
/// the function itself.
fn variable(index: usize, name: &Ident) -> Ident {
    format_ident!("__arg{index}", span = name.span())
}
