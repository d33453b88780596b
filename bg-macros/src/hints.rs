//! Completion, documentation and go-to-definition for the names of settings, in rust-analyzer.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens as _, format_ident, quote};
use syn::ext::IdentExt as _;

use crate::settings::Key;

/// Items, for rust-analyzer alone, in which every `word` is the name of an item that is documented
/// as the setting is.
///
/// rust-analyzer completes a token of an attribute by looking at what becomes of it. A name in a
/// `use` completes to the items of the module, so here each setting is one.
pub(crate) fn setting_names(known: &[Key], words: &[Ident]) -> TokenStream {
    // `crate` cannot be the name of an item, nor can `r#crate`.
    let nameable = |name: &str| syn::parse_str::<Ident>(name).is_ok();
    let words = words.iter().filter(|word| {
        let word = word.unraw().to_string();
        nameable(&word)
    });
    let items = known.iter().filter(|key| nameable(key.name)).map(|key| {
        let name = format_ident!("{}", key.name);
        let docs = key.docs;
        quote! {
            #[doc = #docs]
            pub const #name: () = ();
        }
    });
    let uses: Vec<_> = words.map(|word| word.to_token_stream()).collect();
    if uses.is_empty() {
        return TokenStream::new();
    }
    // The inner `cfg` is one that rustc does not know, and it asks the item around it if it may say so.
    quote! {
        #[allow(unexpected_cfgs)]
        const _: () = {
            #[cfg(rust_analyzer)]
            const _: () = {
                mod settings {
                    #(#items)*
                }
                #(use settings::{#uses as _};)*
            };
        };
    }
}
