//! How a durable task is stored, and made of what is stored.
//!
//! All of it goes through macros of the runtime, which knows whether it is built to store tasks. Where it is not, they
//! make the one error of it, and leave the rest of the task as it is.

use proc_macro2::{Delimiter, Ident, TokenStream};
use quote::{format_ident, quote};

use crate::errors::{across, at, delimited};
use crate::krate::Krate;
use crate::task::call::Call;
use crate::task::durable::Durable;
use crate::task::parameter::{Parameter, Secret};

/// The record that begins with `new`.
pub(super) fn record(
    new: &TokenStream,
    durable: &Durable,
    call: &Call,
    krate: &Krate,
) -> TokenStream {
    let name = &call.name;
    let queue = durable.queue.as_ref();
    let queue = queue.map(|queue| quote!(.in_queue(#queue)));
    let unique = durable.unique.as_ref().map(|unique| match unique.labels() {
        Some(labels) => quote!(.unique_by(&[#(#labels),*])),
        None => quote!(.unique()),
    });
    let was = &durable.was;
    let was = (!was.is_empty()).then(|| quote!(.formerly(&[#(#was),*])));
    quote! {
        #krate::__private::durable_record! {
            (#new)
            (.durable(#krate::__private::durable_def::<#name>() #queue #unique #was))
        }
    }
}

/// The implementation of `DurableTask`.
pub(super) fn codec(durable: &Durable, call: &Call, krate: &Krate) -> TokenStream {
    let name = &call.name;
    let (mut stored, mut put, mut take) = (Vec::new(), Vec::new(), Vec::new());
    for (index, field) in call.fields().enumerate() {
        let (argument, field_name) = (format_ident!("__stored_{index}"), &field.name);
        stored.push(self::stored(&argument, field, krate));
        put.push(quote!(#argument().put(&self.#field_name, __put)?;));
        let value = if field.default().is_some() {
            let default = super::definition::default_name(field);
            quote!(#argument().take_or(__take, Self::#default)?)
        } else {
            quote!(#argument().take(__take)?)
        };
        take.push(quote!(#field_name: #value));
    }
    let secrets = call.fields().filter(|field| field.is_secret());
    let secrets = secrets.flat_map(|field| {
        let old = field.old_names().iter().map(syn::LitStr::value);
        [field.label()].into_iter().chain(old)
    });
    let sealed = call
        .fields()
        .filter(|field| matches!(field.secret(), Some(Secret::Sealed)))
        .map(Parameter::label);
    let error = quote!(#krate::BoxError);
    let result = quote!(::core::result::Result);
    // The whole call is at the word `durable`, and so is the error of a runtime that stores no tasks.
    let place = durable.word.span();
    let call = at(place, quote!(#krate::__private::durable!));
    let items = delimited(
        Delimiter::Brace,
        place,
        quote! {
                #(#stored)*

                impl #krate::__private::DurableTask for #name {
                    const SECRETS: &'static [&'static str] = &[#(#secrets),*];
                    const SEALED: &'static [&'static str] = &[#(#sealed),*];

                    fn put(&self, __put: &mut #krate::__private::Put<'_>) -> #result<(), #error> {
                        #(#put)*
                        #result::Ok(())
                    }

                    fn take(__take: &#krate::__private::Take<'_>) -> #result<Self, #error> {
                        #result::Ok(Self { #(#take),* })
                    }
                }
        },
    );
    quote!(#call #items)
}

/// The function that says how one argument is stored. The bound on its type is in here alone, at the type, so that a
/// type that cannot be stored is one error.
fn stored(name: &Ident, field: &Parameter, krate: &Krate) -> TokenStream {
    let (label, kept) = (field.label(), &field.kept.ty);
    let ty = across(&field.ty, kept);
    let stored = match field.kept.text {
        true => quote!(stored_text),
        false => quote!(stored),
    };
    let old = field.old_names();
    let was = (!old.is_empty()).then(|| quote!(.was(&[#(#old),*])));
    let secret = field.secret().map(|secret| match secret {
        Secret::Sealed => quote!(.sealed()),
        Secret::StoredInClear(_) => quote!(.hidden()),
    });
    quote! {
        fn #name() -> #krate::__private::StoredArgument<#kept> {
            #krate::__private::#stored::<#ty>(#label) #was #secret
        }
    }
}
