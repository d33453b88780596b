//! A struct to stand in for a task that cannot be made, so that one mistake is one error.

use proc_macro2::TokenStream;
use quote::quote;

use crate::function::Function;
use crate::krate::Krate;
use crate::task::call::Call;

/// It is made, attached and compared like the task, and never runs: the crate does not compile.
pub(in crate::task) fn stub(function: &Function, call: &Call, krate: &Krate) -> TokenStream {
    let (vis, name) = (&function.vis, &call.name);
    let carried = function.carried(&["cfg"]);
    let (required, defaulted): (Vec<_>, Vec<_>) =
        call.fields().partition(|field| field.default().is_none());
    // The types may be what is wrong, so any will do.
    let arguments = required
        .iter()
        .map(|_| quote!(_: impl ::core::marker::Sized));
    let setters = defaulted
        .iter()
        .filter(|field| field.name != "new")
        .map(|field| {
            let name = &field.name;
            quote!(#vis fn #name(self, _: impl ::core::marker::Sized) -> Self { self })
        });
    quote! {
        #(#carried)*
        #[derive(::core::clone::Clone, ::core::cmp::PartialEq)]
        #[allow(missing_docs, dead_code)]
        #vis struct #name;

        #(#carried)*
        #[allow(missing_docs, dead_code)]
        impl #name {
            #vis fn new(#(#arguments),*) -> Self { Self }
            #(#setters)*
        }

        #(#carried)*
        const _: () = {
            impl #krate::Task for #name {
                const DEF: &'static #krate::TaskDef = &#krate::TaskDef::new("");
                fn run(
                    self,
                    _: #krate::TaskContext,
                ) -> impl ::core::future::Future<Output = #krate::TaskResult> + ::core::marker::Send
                {
                    async { ::core::result::Result::Ok(()) }
                }
            }
            #krate::__private::response_part! { #name }
        };
    }
}
