//! From the model of a route to the code that `routes!` mounts it by.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Lifetime, ParenthesizedGenericArguments, ReturnType, Type, TypeFnPtr, TypeReference,
};

use super::background;
use super::handler::Argument;
use super::parse::{Path, Settings};
use crate::errors::{at, parenthesized};
use crate::function::Function;
use crate::krate::Krate;

/// The route of a handler.
pub(super) fn route(
    handler: &Function,
    arguments: &[Argument],
    path: &Path,
    settings: &Settings,
) -> TokenStream {
    let Settings { krate, methods, .. } = settings;
    let Function { vis, sig, .. } = handler;
    let name = &sig.ident;

    // A const function that notes where it is called, which is to be the handler's place.
    let new = at(name.span(), quote!(#krate::RouteDef::new));
    let literal = &path.literal;
    let detach = settings.detach.then(|| quote!(.detach()));

    let extractors = extractors(path, arguments, krate);
    // axum's mark of whether the last one reads the body; there is nothing to mark without any.
    let mark = (!extractors.is_empty()).then(|| quote!(, __M));
    let bounds = bounds(&extractors, krate);
    let parameters = extractors.iter().map(|Extractor { pattern, ty }| quote!(#pattern: #ty));
    let background = settings
        .background
        .as_ref()
        .map(|background| background::block(background, arguments, krate));
    let call = call(handler, arguments, krate);

    let members = quote! {
        #vis const __ROUTE: #krate::RouteDef =
            #new(&[#(#krate::__private::Method::#methods),*], #literal)#detach;

        #vis fn __mount<__S #mark>(
            __router: #krate::__private::axum::Router<__S>,
        ) -> #krate::__private::axum::Router<__S>
        where
            __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync + 'static,
            #bounds
        {
            #krate::__private::mount(__router, Self::__ROUTE, Self::__handle)
        }

        async fn __handle(#(#parameters),*) -> #krate::__private::axum::response::Response {
            #background
            #call
        }
    };
    let submit = quote! {
        #krate::__private::inventory::submit! { &<#name>::__ROUTE }
    };
    namesake(handler, &members, &submit)
}

/// Something for `routes!` to mount where the handler has mistakes.
pub(super) fn stub(handler: &Function, krate: &Krate) -> TokenStream {
    let vis = &handler.vis;
    let members = quote! {
        #vis const __ROUTE: #krate::RouteDef = #krate::RouteDef::new(&[], "");

        #vis fn __mount<__S>(
            __router: #krate::__private::axum::Router<__S>,
        ) -> #krate::__private::axum::Router<__S> {
            __router
        }
    };
    namesake(handler, &members, &TokenStream::new())
}

/// A struct of the handler's name, with `members`.
///
/// Its braces make it a type and nothing else, so the name goes on being the function as well, and
/// one `use` brings both.
fn namesake(handler: &Function, members: &TokenStream, beside: &TokenStream) -> TokenStream {
    let Function { vis, sig, .. } = handler;
    let name = &sig.ident;
    let cfgs: Vec<&Attribute> = handler
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis struct #name {}

        // Tokens that stand where the user's do are linted as if the user had written them.
        #(#cfgs)*
        #[allow(
            deprecated,
            private_bounds,
            private_interfaces,
            unused_qualifications,
            clippy::all,
            clippy::pedantic,
            clippy::nursery
        )]
        const _: () = {
            impl #name {
                #members
            }
            #beside
        };
    }
}

/// A parameter of `__handle`.
struct Extractor {
    pattern: TokenStream,
    ty: Type,
}

/// All that the route extracts from a request: what is named in the path first, then the rest in
/// the handler's order, so that the last of them is still the one that can have the body.
fn extractors(path: &Path, arguments: &[Argument], krate: &Krate) -> Vec<Extractor> {
    let named = from_path(path, arguments, krate);
    let written = arguments.iter().filter(|argument| argument.parameter.is_none());
    named
        .into_iter()
        .chain(written.map(|Argument { variable, ty, .. }| Extractor {
            pattern: quote!(#variable),
            ty: ty.clone(),
        }))
        .collect()
}

/// The arguments that are named in the path, if there are any.
fn from_path(path: &Path, arguments: &[Argument], krate: &Krate) -> Option<Extractor> {
    let taker = |index| arguments.iter().find(|argument| argument.parameter == Some(index));
    let takers: Vec<Option<&Argument>> = (0..path.parameters.len()).map(taker).collect();
    let first = takers.iter().flatten().next()?;

    let patterns = takers.iter().map(|taker| match taker {
        Some(Argument { variable, .. }) => quote!(#variable),
        None => quote!(_),
    });
    let types = takers.iter().map(|taker| match taker {
        Some(Argument { ty, .. }) => quote!(#ty),
        // Any value is one: what nobody takes is never a reason to refuse a request.
        None => quote!(::std::string::String),
    });
    let extractor = quote!(#krate::__private::axum::extract::Path);
    let typed = at(first.ty.span(), &extractor);
    Some(Extractor {
        pattern: quote!(#extractor((#(#patterns,)*))),
        ty: Type::Verbatim(quote!(#typed<(#(#types,)*)>)),
    })
}

/// What axum asks of a handler's arguments, on the arguments themselves.
///
/// Mounting a function that is not quite a handler is an error about the function alone. With these
/// bounds in between it names the argument and underlines it, for whatever state the router has.
fn bounds(extractors: &[Extractor], krate: &Krate) -> TokenStream {
    let last = extractors.len().saturating_sub(1);
    let extract = quote!(#krate::__private::axum::extract);
    let bound = |(index, Extractor { ty, .. }): (usize, &Extractor)| {
        let bound = if index == last {
            quote!(#extract::FromRequest<__S, __M>)
        } else {
            quote!(#extract::FromRequestParts<__S>)
        };
        let bound = at(ty.span(), quote!(#bound + ::core::marker::Send));
        let mut ty = ty.clone();
        Static.visit_type_mut(&mut ty);
        quote!(#ty: #bound,)
    };
    extractors.iter().enumerate().map(bound).collect()
}

/// Writes `'static` where a type leaves a lifetime out, as a parameter's may and a bound's may not.
///
/// A handler that takes any lifetime takes this one, and axum has no shorter one to offer.
struct Static;

impl VisitMut for Static {
    fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
        if lifetime.ident == "_" {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }

    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        let span = reference.and_token.span;
        reference
            .lifetime
            .get_or_insert_with(|| Lifetime::new("'static", span));
        visit_mut::visit_type_reference_mut(self, reference);
    }

    // What these leave out is their caller's to choose, in a bound as well.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
}

/// Calls the handler, and makes a response of what it returns.
fn call(handler: &Function, arguments: &[Argument], krate: &Krate) -> TokenStream {
    let name = &handler.sig.ident;
    let variables = arguments.iter().map(|argument| &argument.variable);
    let called = parenthesized(name.span(), quote!(#(#variables),*));
    let future = at(name.span(), quote!(#krate::__private::handler_future));
    let awaited = parenthesized(name.span(), quote!(#name #called));

    let output = match &handler.sig.output {
        ReturnType::Default => name.span(),
        ReturnType::Type(_, ty) => ty.span(),
    };
    let into_response = quote!(#krate::__private::axum::response::IntoResponse::into_response);
    let response = at(output, quote!(#into_response(__output)));
    let variable = at(output, quote!(__output));
    quote! {
        let #variable = #future #awaited.await;
        #response
    }
}
