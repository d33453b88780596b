//! From the model of a route to the code that `routes!` mounts it by.

use proc_macro2::{Delimiter, Ident, TokenStream};
use quote::{ToTokens as _, quote};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Lifetime, ParenthesizedGenericArguments, ReturnType, Type, TypeFnPtr, TypeReference};

use super::background;
use super::handler::Argument;
use super::parse::{Path, Settings};
use crate::errors::{across, delimited};
use crate::function::{Function, used_as_a_value};
use crate::krate::Krate;

/// The route of a handler.
pub(super) fn route(
    handler: &Function,
    arguments: &[Argument],
    path: &Path,
    settings: &Settings,
) -> TokenStream {
    let krate = &settings.krate;
    let name = &handler.sig.ident;
    let cfgs = handler.carried(&["cfg"]);
    let extractors = extractors(name, arguments, krate);

    // `routes!` and `method_router!` call these by the names `__ROUTE` and `__method_router`; `stub` has
    // them as well.
    let record = record(name, path, settings);
    let method_router = method_router(name, &extractors, krate);
    let handle = handle(handler, arguments, &extractors, settings);
    let names = parameter_names(name, path, arguments, krate);
    let namesake = namesake(handler, &quote!(#record #method_router #handle));
    quote! {
        #namesake

        #(#cfgs)*
        #names

        #(#cfgs)*
        #krate::__private::inventory::submit! { &<#name>::__ROUTE }
    }
}

/// Something for `routes!` to mount if the handler has mistakes.
pub(super) fn stub(handler: &Function, krate: &Krate) -> TokenStream {
    let members = quote! {
        pub const __ROUTE: #krate::__private::RouteDef = #krate::__private::RouteDef::new(&[], "");

        pub fn __method_router<__S>() -> #krate::__private::axum::routing::MethodRouter<__S>
        where
            __S: ::core::clone::Clone,
        {
            #krate::__private::axum::routing::MethodRouter::new()
        }
    };
    namesake(handler, &members)
}

/// A struct of the handler's name, with `members`.
///
/// Its braces make it a type and nothing else, so the name goes on being the function as well, and
/// one `use` brings both.
fn namesake(handler: &Function, members: &TokenStream) -> TokenStream {
    let Function { vis, sig, .. } = handler;
    let name = &sig.ident;
    let cfgs = handler.carried(&["cfg"]);
    // At the handler's name, for messages that show where the struct is.
    let definition = across(name, quote!(struct #name {}));
    quote! {
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(missing_copy_implementations, missing_debug_implementations, non_camel_case_types)]
        #vis #definition

        // Code at a place of the user's is linted as the user's own.
        #(#cfgs)*
        #[allow(
            deprecated,
            private_bounds,
            private_interfaces,
            unreachable_pub,
            unused_qualifications,
            clippy::all,
            clippy::nursery,
            clippy::pedantic
        )]
        impl #name {
            #members
        }
    }
}

fn record(name: &Ident, path: &Path, settings: &Settings) -> TokenStream {
    let Settings { krate, methods, .. } = settings;
    let literal = &path.literal;
    let methods = methods
        .iter()
        .map(|method| quote!(#krate::__private::Method::#method));
    let new = quote!(#krate::__private::RouteDef::new(&[#(#methods),*], #literal));
    // `RouteDef::new` is `#[track_caller]`: the place of this call has to be the handler's own, because
    // the runtime tells by it which routes were mounted.
    let new = across(name, new);
    let detach = settings.detach.then(|| quote!(.detach()));
    quote! {
        pub const __ROUTE: #krate::__private::RouteDef = #new #detach;
    }
}

/// The route without its path, for a router of any state that the handler's arguments can be extracted
/// with.
fn method_router(name: &Ident, extractors: &[Extractor], krate: &Krate) -> TokenStream {
    // At the handler's name, for messages that show where the function is.
    let method_router = Ident::new("__method_router", name.span());
    // axum's mark of whether the last argument reads the body; there is no mark without arguments.
    let mark = (!extractors.is_empty()).then(|| quote!(, __M: 'static));
    let bounds = bounds(extractors, krate);
    quote! {
        pub fn #method_router<__S #mark>() -> #krate::__private::axum::routing::MethodRouter<__S>
        where
            __S: ::core::clone::Clone + ::core::marker::Send + ::core::marker::Sync + 'static,
            #bounds
        {
            #krate::__private::method_router(Self::__ROUTE, Self::__handle)
        }
    }
}

/// What axum asks of a handler's arguments, on the arguments themselves.
///
/// Mounting a function that is not quite a handler is an error about the function alone. With these
/// bounds in between it names the argument and underlines it, for a router of any state.
fn bounds(extractors: &[Extractor], krate: &Krate) -> TokenStream {
    let last = extractors.len().saturating_sub(1);
    let extract = quote!(#krate::__private::axum::extract);
    let bound = |(index, Extractor { ty, place, .. }): (usize, &Extractor)| {
        let extractor = if index == last {
            quote!(#extract::FromRequest<__S, __M>)
        } else {
            quote!(#extract::FromRequestParts<__S>)
        };
        let extractor = across(place, extractor);
        let send = across(place, quote!(::core::marker::Send));
        quote!(#ty: #extractor + #send,)
    };
    extractors.iter().enumerate().map(bound).collect()
}

/// The handler as axum calls it.
fn handle(
    handler: &Function,
    arguments: &[Argument],
    extractors: &[Extractor],
    settings: &Settings,
) -> TokenStream {
    let krate = &settings.krate;
    let parameters = extractors
        .iter()
        .map(|Extractor { pattern, ty, .. }| quote!(#pattern: #ty));
    let background = settings
        .background
        .as_ref()
        .map(|background| background::block(background, arguments, krate));
    let call = call(handler, arguments, krate);
    let used = used_as_a_value(&handler.sig.ident);
    let response = quote!(#krate::__private::axum::response::Response);
    // `Send` by declaration: if the handler's future is not, there is this error and no other.
    let future = across(
        &handler.sig.ident,
        quote!(impl ::core::future::Future<Output = #response> + ::core::marker::Send),
    );
    quote! {
        fn __handle(#(#parameters),*) -> #future {
            #used
            async move {
                #background
                #call
            }
        }
    }
}

/// Calls the handler, and makes a response of what it returns.
fn call(handler: &Function, arguments: &[Argument], krate: &Krate) -> TokenStream {
    let name = &handler.sig.ident;
    let variables = arguments.iter().map(|argument| &argument.variable);
    let called = delimited(Delimiter::Parenthesis, name.span(), quote!(#(#variables),*));
    let future = across(
        name,
        quote!(#krate::__private::handler_future(#name #called)),
    );

    let place = match &handler.sig.output {
        ReturnType::Default => name.to_token_stream(),
        ReturnType::Type(_, ty) => ty.to_token_stream(),
    };
    let output = Ident::new("__output", place.span());
    let into_response = across(
        &place,
        quote!(#krate::__private::axum::response::IntoResponse::into_response),
    );
    let response = delimited(Delimiter::Parenthesis, place.span(), quote!(#output));
    let response = across(&place, response);
    quote! {
        let #output = #future.await;
        #into_response #response
    }
}

/// A parameter of `__handle`.
struct Extractor {
    pattern: TokenStream,
    ty: TokenStream,
    /// The type as the user wrote it.
    place: Type,
}

/// All that the route extracts from a request: what is named in the path first, then the rest in
/// the handler's order, so that the last of them is still the one that can have the body.
fn extractors(name: &Ident, arguments: &[Argument], krate: &Krate) -> Vec<Extractor> {
    let named = from_path(name, arguments, krate);
    let written = arguments
        .iter()
        .filter(|argument| argument.parameter.is_none());
    named
        .into_iter()
        .chain(written.map(|Argument { variable, ty, .. }| {
            let mut owned = ty.clone();
            Static.visit_type_mut(&mut owned);
            Extractor {
                pattern: quote!(#variable),
                ty: quote!(#owned),
                place: ty.clone(),
            }
        }))
        .collect()
}

/// The arguments that are named in the path, if there are any: as a tuple, in the order in which
/// [`parameter_names`] has their names.
///
/// By name and not by place: a router around this one may put parameters of its own before them.
fn from_path(handler: &Ident, arguments: &[Argument], krate: &Krate) -> Option<Extractor> {
    let takers = || arguments.iter().filter(|it| it.parameter.is_some());
    let first = takers().next()?;
    let variables = takers().map(|Argument { variable, .. }| variable);
    let types = takers().map(|Argument { ty, .. }| ty);
    let path = quote!(#krate::__private::axum::extract::Path);
    let named = quote!(#krate::__private::Named);
    Some(Extractor {
        pattern: quote!(#path(#named((#(#variables,)*), _))),
        ty: quote!(#path<#named<#handler, (#(#types,)*)>>),
        place: first.ty.clone(),
    })
}

/// The names in the path of the arguments that are named there. `Named` takes the first value of its
/// tuple by the first name.
fn parameter_names(
    handler: &Ident,
    path: &Path,
    arguments: &[Argument],
    krate: &Krate,
) -> Option<TokenStream> {
    let indices = arguments.iter().filter_map(|it| it.parameter);
    let names: Vec<_> = indices.map(|index| &path.parameters[index]).collect();
    (!names.is_empty()).then(|| {
        quote! {
            impl #krate::__private::ParameterNames for #handler {
                const NAMES: &'static [&'static str] = &[#(#names),*];
            }
        }
    })
}

/// Writes `'static` where a type leaves a lifetime out, as an argument's may and a bound's may not.
///
/// A handler that takes any lifetime takes this one, and axum has no shorter one to give.
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

    // A lifetime left out in these is chosen by their caller, in a bound as well.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
}
