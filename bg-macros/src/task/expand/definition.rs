//! The struct, and how to make one.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, format_ident, quote};
use syn::{Attribute, Visibility};

use super::{link, lints};
use crate::errors::across;
use crate::function::Function;
use crate::krate::Krate;
use crate::task::call::Call;
use crate::task::parameter::Parameter;

pub(super) fn expand(function: &Function, call: &Call, krate: &Krate) -> TokenStream {
    let definition = definition(function, call);
    let constructors = constructors(function, call, krate);
    quote! {
        #definition
        #constructors
    }
}

fn definition(function: &Function, call: &Call) -> TokenStream {
    let (vis, name) = (&function.vis, &call.name);
    let lints = lints();
    let function_link = link(&function.sig.ident);
    let carried = function.carried(&["allow", "cfg", "deprecated", "doc"]);
    let docs = default_docs(&carried, || {
        format!("A call of {function_link}, to be run in the background.")
    });
    let fields: Vec<_> = call
        .fields()
        .map(|field| {
            let (name, ty, docs) = (&field.name, &field.kept.ty, &field.docs);
            let default_docs = default_docs(docs, || {
                format!("The `{}` argument of {function_link}.", field.label())
            });
            quote!(#(#docs)* #default_docs #vis #name: #ty)
        })
        .collect();
    // `background = [UpdateAnalytics]`: without arguments, the name alone is a task.
    let body = if fields.is_empty() {
        quote!(;)
    } else {
        quote!({ #(#fields,)* })
    };
    // At the function's name from end to end, or rustc would not warn about a task that is never made.
    let definition = across(name, quote!(struct #name #body));
    quote! {
        #(#carried)*
        #docs
        #[must_use = "a task does nothing until it is queued or attached to a response"]
        #lints
        #vis #definition
    }
}

/// Documentation for an item without any, so that `deny(missing_docs)` is about the function alone.
fn default_docs(attrs: &[Attribute], docs: impl FnOnce() -> String) -> Option<TokenStream> {
    if attrs.iter().any(|attr| attr.path().is_ident("doc")) {
        return None;
    }
    let docs = docs();
    Some(quote!(#[doc = #docs]))
}

/// `new` and the setters. Not in a `const _`, or messages would say `_::<impl SendEmail>::new`.
fn constructors(function: &Function, call: &Call, krate: &Krate) -> TokenStream {
    let (vis, name) = (&function.vis, &call.name);
    let carried = function.carried(&["allow", "cfg"]);
    let lints = lints();
    let (mut arguments, mut values, mut setters) = (Vec::new(), Vec::new(), Vec::new());
    for field in call.fields() {
        let name = &field.name;
        if let Some(default) = default_of(field, krate) {
            let default_name = default_name(field);
            values.push(quote!(#name: Self::#default_name()));
            setters.push(setter(field, vis, krate));
            setters.push(default);
        } else {
            let value = keep(field, name, krate);
            values.push(quote!(#name: #value));
            arguments.push(argument(field, krate));
        }
    }
    let with = if arguments.is_empty() {
        ""
    } else {
        " with these arguments"
    };
    let docs = format!(
        "A task that calls {}{with}. It does nothing until it is queued.",
        link(&function.sig.ident)
    );
    let fields = (!values.is_empty()).then(|| quote!({ #(#values,)* }));
    // At the function's name, for messages that show where `new` is.
    let new = Ident::new("new", name.span());
    quote! {
        #(#carried)*
        #lints
        impl #name {
            #[doc = #docs]
            #vis fn #new(#(#arguments),*) -> Self {
                Self #fields
            }
            #(#setters)*
        }
    }
}

/// A parameter of `new`, or of a setter.
fn argument(field: &Parameter, krate: &Krate) -> TokenStream {
    let (name, ty) = (&field.name, &field.kept.ty);
    if !field.kept.text {
        return quote!(#name: #ty);
    }
    let bound = across(&field.ty, quote!(#krate::IntoText<#ty>));
    let text = across(&field.ty, quote!(impl #bound));
    quote!(#name: #text)
}

/// Converts the argument `value` to what is kept of it.
fn keep(field: &Parameter, value: impl ToTokens, krate: &Krate) -> TokenStream {
    if field.kept.text {
        quote!(#krate::IntoText::into_text(#value))
    } else {
        value.into_token_stream()
    }
}

/// The function that makes the default of a field.
///
/// A function, so that no argument of `new` is in scope for the default.
fn default_of(field: &Parameter, krate: &Krate) -> Option<TokenStream> {
    let default = field.default()?;
    let (name, ty) = (default_name(field), &field.kept.ty);
    let value = keep(field, default, krate);
    Some(quote! {
        fn #name() -> #ty {
            #value
        }
    })
}

pub(super) fn default_name(field: &Parameter) -> Ident {
    format_ident!("__default_{}", field.label())
}

fn setter(field: &Parameter, vis: &Visibility, krate: &Krate) -> TokenStream {
    let name = &field.name;
    let docs = format!("Replaces the default of `{}`.", field.label());
    let argument = argument(field, krate);
    let value = keep(field, name, krate);
    quote! {
        #[doc = #docs]
        #vis fn #name(mut self, #argument) -> Self {
            self.#name = #value;
            self
        }
    }
}
