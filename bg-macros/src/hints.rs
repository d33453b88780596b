//! Completion, documentation and go-to-definition for the names of settings, in rust-analyzer.

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt as _;

use crate::settings::Key;

/// Items, for rust-analyzer alone, in which each of `words` is the name of an item with the setting's
/// documentation.
///
/// rust-analyzer completes a token of an attribute by looking at what it expands to. A name in a
/// `use` completes to the items of the module, so each setting is an item of one here.
pub(crate) fn setting_names(known: &[Key], words: &[Ident]) -> TokenStream {
    // `crate` cannot be the name of an item, nor can `r#crate`.
    let nameable = |name: &str| syn::parse_str::<Ident>(name).is_ok();
    let words: Vec<_> = words
        .iter()
        .filter(|word| nameable(&word.unraw().to_string()))
        .collect();
    if words.is_empty() {
        return TokenStream::new();
    }
    let items = known.iter().filter(|key| nameable(key.name)).map(|key| {
        let name = format_ident!("{}", key.name);
        let docs = key.docs;
        quote! {
            #[doc = #docs]
            pub const #name: () = ();
        }
    });
    // rustc does not know this `cfg`. An `allow` beside it has no effect, so it is on an item around
    // it.
    quote! {
        #[allow(unexpected_cfgs, unused_imports)]
        const _: () = {
            #[cfg(rust_analyzer)]
            const _: () = {
                #[allow(non_upper_case_globals)]
                mod settings {
                    #(#items)*
                }
                #(use settings::#words as _;)*
            };
        };
    }
}
