//! How a task runs, and what is known of it before it does.

use proc_macro2::{Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, ExprLit, Lit, Meta, ReturnType};

use super::{lints, variable};
use crate::errors::{across, at};
use crate::function::Function;
use crate::krate::Krate;
use crate::source_text::source_text;
use crate::task::parameter::{Parameter, Source};
use crate::task::parse::{Call, Settings, Timeout};

pub(super) fn expand(function: &Function, call: &Call, settings: &Settings) -> TokenStream {
    let (name, krate) = (&call.name, &settings.krate);
    let carried = function.carried(&["cfg"]);
    let lints = lints();
    let record = record(function, call, settings);
    let run = run(function, call, krate);
    let arguments = arguments(call, krate);
    quote! {
        #(#carried)*
        #lints
        const _: () = {
            impl #krate::Task for #name {
                const DEF: &'static #krate::TaskDef = #record;
                #run
                #arguments
            }
            #krate::__private::response_part! { #name }
            #krate::__private::inventory::submit! { <#name as #krate::Task>::DEF }
        };
    }
}

/// The task's `TaskDef`.
fn record(function: &Function, call: &Call, settings: &Settings) -> TokenStream {
    let krate = &settings.krate;
    let name = match &settings.name {
        Some(name) => quote!(#name),
        None => {
            let name = function.sig.ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        }
    };
    // The place of this call is the one that reports name.
    let new = at(call.name.span(), quote!(#krate::TaskDef::new(#name)));
    let docs = docs(&function.attrs).map(|docs| quote!(.docs(#docs)));
    let timeout = settings.timeout.as_ref().map(|timeout| match timeout {
        Timeout::Millis(millis) => {
            let millis = Literal::u64_suffixed(*millis);
            quote!(.timeout(::core::time::Duration::from_millis(#millis)))
        }
        Timeout::Constant(value) => quote!(.timeout(#value)),
    });
    let on_error = settings.on_error.as_ref();
    let on_error = on_error.map(|path| quote!(.on_error(#path)));
    let blocking = function.sig.asyncness.is_none();
    let blocking = blocking.then(|| quote!(.blocking()));
    let parameters = parameters(call, krate);
    let states = states(call, krate);
    quote!(&#new #docs #timeout #on_error #blocking #parameters #states)
}

/// The text of the function's documentation, as an expression.
fn docs(attrs: &[Attribute]) -> Option<TokenStream> {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(meta) if meta.path.is_ident("doc") => Some(&meta.value),
        _ => None,
    });
    let lines: Vec<_> = lines
        .map(|line| match line {
            // `/// text` is `#[doc = " text"]`.
            Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) => {
                let line = line.value();
                let line = line.strip_prefix(' ').unwrap_or(&line);
                quote!(#line)
            }
            // `include_str!` and the like.
            line => quote!(#line),
        })
        .collect();
    match lines.as_slice() {
        [] => None,
        [line] => Some(line.clone()),
        [first, rest @ ..] => Some(quote!(::core::concat!(#first #(, "\n", #rest)*))),
    }
}

fn parameters(call: &Call, krate: &Krate) -> Option<TokenStream> {
    let parameters = call.fields().map(|field| {
        let (label, ty) = (field.label(), source_text(&field.ty));
        let secret = field.is_secret().then(|| quote!(.secret()));
        quote!(#krate::Parameter::new(#label, #ty) #secret)
    });
    let parameters: Vec<_> = parameters.collect();
    // A constant, since only that lives for as long as the record does.
    (!parameters.is_empty()).then(|| {
        quote! {
            .parameters({
                const PARAMETERS: &[#krate::Parameter] = &[#(#parameters),*];
                PARAMETERS
            })
        }
    })
}

fn states(call: &Call, krate: &Krate) -> Option<TokenStream> {
    let states = call.parameters.iter().filter_map(|parameter| {
        let (label, ty) = (parameter.label(), &parameter.kept.ty);
        matches!(parameter.source, Source::State)
            .then(|| quote!(#krate::StateDef::of::<#ty>(#label)))
    });
    let states: Vec<_> = states.collect();
    (!states.is_empty()).then(|| {
        quote! {
            .states({
                const STATES: &[#krate::StateDef] = &[#(#states),*];
                STATES
            })
        }
    })
}

/// `Task::run`.
fn run(function: &Function, call: &Call, krate: &Krate) -> TokenStream {
    let (mut fields, mut states, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for (index, parameter) in call.parameters.iter().enumerate() {
        let (name, ty) = (&parameter.name, &parameter.kept.ty);
        let mut variable = variable(index, name);
        match &parameter.source {
            Source::Field { .. } => fields.push(quote!(#name: #variable)),
            Source::State => {
                let label = parameter.label();
                states.push(quote! {
                    let #variable = #krate::__private::state::<#ty>(&__cx, #label)?;
                });
            }
            Source::Context => variable = syn::Ident::new("__cx", name.span()),
        }
        let lend = parameter.kept.lent.then(|| quote!(&));
        arguments.push(quote!(#lend #variable));
    }
    let unpack = (!fields.is_empty()).then(|| quote!(let Self { #(#fields),* } = self;));
    let called = &function.sig.ident;
    let work = if function.sig.asyncness.is_some() {
        outcome(function, &quote!(#called(#(#arguments),*).await), krate)
    } else {
        let outcome = outcome(function, &quote!(#called(#(#arguments),*)), krate);
        quote!(#krate::__private::blocking(move || { #outcome }).await)
    };
    quote! {
        fn run(
            self,
            __cx: #krate::TaskContext,
        ) -> impl ::core::future::Future<Output = #krate::TaskResult> + ::core::marker::Send {
            #unpack
            async move {
                #(#states)*
                #work
            }
        }
    }
}

/// What the `call` comes to. That it comes to something else is the return type's mistake.
fn outcome(function: &Function, call: &TokenStream, krate: &Krate) -> TokenStream {
    let convert = quote!(#krate::__private::IntoTaskResult::into_task_result);
    let convert = match &function.sig.output {
        ReturnType::Default => quote!(#convert(__output)),
        ReturnType::Type(_, ty) => across(ty, quote!(#convert(__output))),
    };
    quote! {
        let __output = #call;
        #convert
    }
}

/// `Task::arguments`.
fn arguments(call: &Call, krate: &Krate) -> TokenStream {
    let values = call.fields().map(|field| {
        let (label, name) = (field.label(), &field.name);
        if field.is_secret() {
            quote!((#label, #krate::__private::SECRET))
        } else {
            quote!((#label, (&#krate::__private::Probe(&self.#name)).argument()))
        }
    });
    let traits = (!call.fields().all(Parameter::is_secret)).then(|| {
        quote!(use #krate::__private::{DebugArgument as _, OpaqueArgument as _};)
    });
    quote! {
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            #traits
            #krate::__private::arguments([#(#values),*])
        }
    }
}
