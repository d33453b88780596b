//! How a task runs, and runs again, and what it says about itself.

use proc_macro2::{Delimiter, Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ReturnType;
use syn::spanned::Spanned as _;

use super::{durable, lints, record, variable};
use crate::errors::{across, delimited};
use crate::function::{Function, used_as_a_value};
use crate::krate::Krate;
use crate::task::call::Call;
use crate::task::durable::Durable;
use crate::task::parameter::{Parameter, Source};
use crate::task::settings::Settings;

pub(super) fn expand(
    function: &Function,
    call: &Call,
    key: Option<&Parameter>,
    durable: Option<&Durable>,
    settings: &Settings,
) -> TokenStream {
    let (name, krate) = (&call.name, &settings.krate);
    let carried = function.carried(&["cfg"]);
    let lints = lints();
    let record = record::expand(function, call, durable, settings);
    let run = run(function, call, krate);
    let try_clone = try_clone(call, settings);
    let key = key.map(|parameter| self::key(parameter, krate));
    let arguments = arguments(call, krate);
    let value = value(call, krate);
    let durable = durable.map(|durable| durable::codec(durable, call, krate));
    // A constant for the record: naming the struct in what is submitted would use it, and rustc would
    // no longer warn about a task that is never made.
    quote! {
        #(#carried)*
        #lints
        const _: () = {
            const __RECORD: &#krate::TaskDef = #record;
            impl #krate::Task for #name {
                const DEF: &'static #krate::TaskDef = __RECORD;
                #run
                #try_clone
                #key
                #arguments
            }
            #value
            #durable
            #krate::__private::response_part! { #name }
            #krate::__private::inventory::submit! { __RECORD }
        };
    }
}

/// `Task::run`.
fn run(function: &Function, call: &Call, krate: &Krate) -> TokenStream {
    // One variable at one place: the name of a parameter may come from elsewhere than the attribute, if
    // a `macro_rules!` macro writes both, and at another place a variable of this name is another one.
    let context = call
        .parameters
        .iter()
        .find(|parameter| parameter.is_context());
    let place = context.map_or_else(Span::call_site, |parameter| parameter.name.span());
    let cx = Ident::new("__cx", place);
    let (mut fields, mut states, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for (index, parameter) in call.parameters.iter().enumerate() {
        let (name, ty) = (&parameter.name, &parameter.kept.ty);
        let mut variable = variable(index, name);
        match &parameter.source {
            Source::Field { .. } => fields.push(quote!(#name: #variable)),
            Source::State => {
                let label = parameter.label();
                states.push(quote! {
                    let #variable = #krate::__private::state::<#ty>(&#cx, #label)?;
                });
            }
            Source::Context => variable = cx.clone(),
        }
        let lend = parameter.kept.lent.then(|| quote!(&));
        arguments.push(quote!(#lend #variable));
    }
    let unpack = (!fields.is_empty()).then(|| quote!(let Self { #(#fields),* } = self;));
    let called = &function.sig.ident;
    let call = quote!(#called(#(#arguments),*));
    // At the function's name, where rustc reports work that is not `Send`.
    let block = |tokens| delimited(Delimiter::Brace, called.span(), tokens);
    let work = if function.sig.asyncness.is_some() {
        let outcome = outcome(function, &quote!(#call.await), krate);
        let body = block(quote!(#(#states)* #outcome));
        let used = used_as_a_value(called);
        let work = quote_spanned!(called.span()=> async move #body);
        quote!(#used #work)
    } else {
        let outcome = outcome(function, &call, krate);
        let body = block(quote!(#(#states)* #outcome));
        let closure = quote_spanned!(called.span()=> move || #body);
        quote!(#krate::__private::blocking(#closure))
    };
    let future =
        quote!(impl ::core::marker::Send + ::core::future::Future<Output = #krate::TaskResult>);
    let future = across(called, future);
    quote! {
        fn run(self, #cx: #krate::TaskContext) -> #future {
            #unpack
            #work
        }
    }
}

/// Converts what the `call` returns. An error about its type is at the return type.
fn outcome(function: &Function, call: &TokenStream, krate: &Krate) -> TokenStream {
    let convert = quote!(#krate::__private::IntoTaskResult::into_task_result);
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return quote!(#convert(#call));
    };
    // At the place that `across` moves it to: at another one, it would be another variable where a
    // `macro_rules!` macro is given the type.
    let output = Ident::new("__output", ty.span());
    // A field, since a variable is one token and cannot reach across a type of several.
    let (convert, field) = (across(ty, convert), across(ty, quote!(#output.0)));
    quote! {
        let #output = (#call,);
        #convert(#field)
    }
}

/// `Clone`, `PartialEq` and `Debug`, where the arguments are.
fn value(call: &Call, krate: &Krate) -> Option<TokenStream> {
    // Its `Clone` would be bounded by itself, which rustc refuses.
    if call.holds_its_own_kind() {
        return None;
    }
    let task = &call.name;
    let fields = call.fields().map(|field| {
        let (name, ty) = (&field.name, &field.kept.ty);
        quote!(#name: #ty)
    });
    let shown = call.fields().map(|field| {
        let (label, name, ty) = (field.label(), &field.name, &field.kept.ty);
        let ty = (!field.is_secret()).then(|| quote!(: #ty));
        quote!(#label #name #ty)
    });
    Some(quote! {
        #krate::__private::value! { #task { #(#fields),* } }
        #krate::__private::debug! { #task { #(#shown),* } }
    })
}

/// `Task::try_clone`.
fn try_clone(call: &Call, settings: &Settings) -> TokenStream {
    let krate = &settings.krate;
    let (traits, try_clone) = if settings.retries.is_some() && settings.durable.is_none() {
        let copies = call.fields().map(|field| {
            let (name, copy) = (&field.name, passed_to(&quote!(copy), field, krate));
            quote!(#name: #copy)
        });
        let copy = quote!(::core::option::Option::Some(Self { #(#copies),* }));
        (None, copy)
    } else {
        // Only the compiler knows whether it can be cloned; a durable task is read anew for each run. Both traits have the method `__bg_try_clone`.
        // For the receiver `&Probe(..)`, method resolution tries the one of `CloneTask`, and borrows
        // the receiver once more, for `OnceTask`, only if the task is not `Clone`. So both are in
        // scope, and there is exactly one `&` before `Probe`.
        let traits = quote!(use #krate::__private::{CloneTask as _, OnceTask as _};);
        let try_clone = quote!((&#krate::__private::Probe(self)).__bg_try_clone());
        (Some(traits), try_clone)
    };
    quote! {
        fn try_clone(&self) -> ::core::option::Option<Self> {
            #traits
            #try_clone
        }
    }
}

/// `Task::key`.
fn key(parameter: &Parameter, krate: &Krate) -> TokenStream {
    let key = passed_to(&quote!(key), parameter, krate);
    quote! {
        fn key(&self) -> ::core::option::Option<::std::string::String> {
            #key
        }
    }
}

/// A call of `function` with the value of `field`. An error about the value is at the parameter's type.
fn passed_to(function: &TokenStream, field: &Parameter, krate: &Krate) -> TokenStream {
    let name = &field.name;
    let ty = across(&field.ty, &field.kept.ty);
    quote!(#krate::__private::#function::<#ty>(&self.#name))
}

/// `Task::arguments`.
fn arguments(call: &Call, krate: &Krate) -> TokenStream {
    let values = call.fields().map(|field| {
        let (label, name) = (field.label(), &field.name);
        if field.is_secret() {
            quote!((#label, #krate::__private::SECRET))
        } else {
            quote!((#label, (&#krate::__private::Probe(&self.#name)).__bg_argument()))
        }
    });
    // Like `CloneTask` and `OnceTask`, above. With secrets alone, the import would be unused.
    let traits = (!call.fields().all(Parameter::is_secret))
        .then(|| quote!(use #krate::__private::{DebugArgument as _, OpaqueArgument as _};));
    quote! {
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            #traits
            #krate::__private::arguments([#(#values),*])
        }
    }
}
