//! `#[get]`, `#[post]` and the others: a handler, and beside it what `routes!` mounts.

mod background;
mod expand;
mod handler;
mod leaving;
mod parameters;
mod parse;
mod path;
#[cfg(test)]
mod tests;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote};

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

/// Expands an attribute for `methods`, with `args` in its parentheses, on `item`.
///
/// The handler comes back as it was written, even if something is wrong. There is something to mount
/// then as well, so that `routes![..]` has no error to add.
pub(crate) fn expand(methods: Methods, args: TokenStream, item: TokenStream) -> TokenStream {
    // The attribute's place, as the user's own: at a plain call site, each error would say that it
    // originates in the attribute macro.
    let user = item.clone().into_iter().next();
    let place = user.map_or_else(Span::call_site, |token| {
        Span::call_site().resolved_at(token.span())
    });
    let (settings, settings_errors) = Errors::collect(|errors| {
        let settings = parse::settings(methods, args, place, errors);
        if let Some(background) = &settings.background {
            leaving::refuse(background, errors);
        }
        settings
    });
    let (handler, handler_errors) = Errors::collect(|errors| {
        let function =
            syn::parse2::<Function>(item.clone()).map_err(|error| not_a_function(methods, &error));
        let function = errors.ok(function)?;
        let mut arguments = handler::arguments(&function, errors)?;
        if let Some(path) = &settings.path {
            parameters::assign(path, &mut arguments, errors);
        }
        Some((function, arguments))
    });

    let marked = handler
        .as_ref()
        .zip(settings.background.as_ref())
        .map(|((function, _), background)| background::mark_used(function.clone(), background));
    let beside = handler.map(|(function, arguments)| {
        let route = match &settings.path {
            Some(path) if settings_errors.is_empty() && handler_errors.is_empty() => {
                expand::route(&function, &arguments, path, &settings)
            }
            _ => expand::stub(&function, &settings.krate),
        };
        let hints = hints::setting_names(parse::known(methods), &settings.words);
        quote!(#route #hints)
    });

    // The handler stays at the top: editors prefer the first of several uses of a token.
    let mut expansion = marked.map_or(item, Function::into_token_stream);
    expansion.extend(beside);
    expansion.extend(settings_errors);
    expansion.extend(handler_errors);
    expansion
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
