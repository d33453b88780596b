//! `#[get]`, `#[post]` and the others: a handler, and beside it what `routes!` mounts.

mod background;
mod expand;
mod handler;
mod parameters;
mod parse;
mod path;

use proc_macro2::TokenStream;
use quote::quote;

use crate::errors::Errors;
use crate::function::Function;
use crate::hints;

/// The methods that an attribute is for.
#[derive(Clone, Copy)]
pub(crate) enum Methods {
    /// The one it is named after.
    One(&'static str),
    /// Those in its setting `methods`.
    Listed,
}

/// What an attribute for `methods`, with `args` in its parentheses, turns `item` into.
///
/// The handler comes back as it was written, whatever is wrong. What is wrong also leaves something
/// to mount, so that `routes![..]` has nothing to add.
pub(crate) fn expand(methods: Methods, args: TokenStream, item: TokenStream) -> TokenStream {
    let (settings, settings_errors) =
        Errors::collect(|errors| parse::settings(methods, args, errors));
    let hints = hints::setting_names(parse::known(methods), &settings.words);

    let (handler, handler_errors) = Errors::collect(|errors| {
        let function = syn::parse2::<Function>(item.clone())
            .map_err(|error| not_a_function(methods, &error));
        let function = errors.ok(function)?;
        let mut arguments = handler::arguments(&function, errors)?;
        if let Some(path) = &settings.path {
            parameters::assign(path, &mut arguments, errors);
        }
        Some((function, arguments))
    });

    let generated = match (handler, &settings.path) {
        (Some((function, arguments)), Some(path))
            if settings_errors.is_empty() && handler_errors.is_empty() =>
        {
            expand::route(&function, &arguments, path, &settings)
        }
        (Some((function, _)), _) => expand::stub(&function, &settings.krate),
        (None, _) => TokenStream::new(),
    };

    // The handler stays at the top: editors prefer the first of several uses of a token.
    quote! {
        #item
        #generated
        #settings_errors
        #handler_errors
        #hints
    }
}

fn not_a_function(methods: Methods, error: &syn::Error) -> syn::Error {
    let name = match methods {
        Methods::One(name) => name,
        Methods::Listed => "route",
    };
    syn::Error::new(
        error.span(),
        format!("`#[{name}]` is for a handler, an `async fn`: {error}"),
    )
}
