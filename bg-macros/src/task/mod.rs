//! `#[background_task]`: a function, and beside it the struct that is a call of it, to be run later.

mod duration;
mod expand;
mod kept;
mod parameter;
mod parse;

use proc_macro2::TokenStream;
use quote::quote;

use crate::errors::Errors;
use crate::function::Function;
use crate::hints;

/// What `#[background_task(args)]` turns `item` into.
///
/// The function comes back whatever else is wrong: to take it away would turn one mistake into an
/// error at each of its calls, and leave the editor nothing to help with.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let (settings, settings_errors) = Errors::collect(|errors| parse::settings(args, errors));
    let hints = hints::setting_names(parse::SETTINGS, &settings.words);

    let (parsed, errors) = Errors::collect(|errors| {
        let parsed = syn::parse2::<Function>(item.clone()).map_err(not_a_function);
        let mut function = errors.ok(parsed)?;
        let call = parse::call(&mut function, errors);
        Some((function, call))
    });

    let (item, generated) = match parsed {
        None => (item, TokenStream::new()),
        Some((function, None)) => (quote!(#function), TokenStream::new()),
        // A setting that is wrong leaves a task without that setting. A parameter that is wrong
        // leaves nothing to run, but a struct of that name to build, so that its uses stay quiet.
        Some((function, Some(call))) => {
            let generated = if errors.is_empty() {
                expand::task(&function, &call, &settings)
            } else {
                expand::stub(&function, &call, &settings.krate)
            };
            (quote!(#function), generated)
        }
    };

    // The function stays at the top: editors prefer the first of several uses of a token.
    quote! {
        #item
        #generated
        #settings_errors
        #errors
        #hints
    }
}

fn not_a_function(error: syn::Error) -> syn::Error {
    syn::Error::new(
        error.span(),
        format!("`#[background_task]` is for a function: {error}"),
    )
}
