//! `#[background_task]`: a function, and beside it the struct that is a call of it, to run later.

mod backoff;
mod call;
mod durable;
mod duration;
mod expand;
mod kept;
mod key;
mod number;
mod on_full;
mod parameter;
mod rate;
mod settings;
#[cfg(test)]
mod tests;

use proc_macro2::TokenStream;
use quote::quote;

use crate::errors::Errors;
use crate::function::Function;
use crate::hints;

/// Expands `#[background_task(args)]` on `item`.
///
/// The function comes back even if something is wrong: taking it away would turn one mistake into an
/// error at each of its calls, and leave the editor nothing to help with.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let (settings, settings_errors) = Errors::collect(|errors| settings::parse(args, errors));
    let (parsed, errors) = Errors::collect(|errors| {
        let parsed = syn::parse2::<Function>(item.clone());
        let mut function = errors.ok(parsed.map_err(|error| not_a_function(&error)))?;
        let call = call::parse(&mut function, errors);
        Some((function, call))
    });

    let (item, generated) = match parsed {
        None => (item, TokenStream::new()),
        Some((function, None)) => (quote!(#function), TokenStream::new()),
        // A setting that is wrong leaves a task without that setting. A parameter that is wrong
        // leaves nothing to run, but a struct of that name to build, so that its uses stay quiet.
        Some((function, Some(call))) => {
            let (key, key_errors) = Errors::collect(|errors| {
                let name = settings.key.as_ref()?;
                key::parameter(name, &call, errors)
            });
            let ((), durable_errors) =
                Errors::collect(|errors| durable::check(&settings, &call, errors));
            let mut mistakes = [&settings_errors, &key_errors, &durable_errors].into_iter();
            let is_sound = mistakes.all(TokenStream::is_empty);
            let durable = settings.durable.as_ref().filter(|_| is_sound);
            let task = if errors.is_empty() {
                expand::task(&function, &call, key, durable, &settings)
            } else {
                expand::stub(&function, &call, &settings.krate)
            };
            let hints = hints::setting_names(settings::KNOWN, &settings.words);
            (
                quote!(#function),
                quote!(#task #hints #key_errors #durable_errors),
            )
        }
    };

    // The function stays at the top: editors prefer the first of several uses of a token.
    quote! {
        #item
        #generated
        #settings_errors
        #errors
    }
}

fn not_a_function(error: &syn::Error) -> syn::Error {
    syn::Error::new(
        error.span(),
        format!("`#[background_task]` is for a function: {error}"),
    )
}
