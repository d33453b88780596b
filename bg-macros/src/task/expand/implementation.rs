//! How a task runs, and what is known of it before it does.

use std::mem;

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::{Attribute, Meta, ReturnType};

use super::{lints, variable};
use crate::errors::across;
use crate::function::{Function, used_as_a_value};
use crate::krate::Krate;
use crate::settings;
use crate::source_text::source_text;
use crate::task::call::Call;
use crate::task::parameter::{Parameter, Source};
use crate::task::settings::{Settings, Timeout};

pub(super) fn expand(function: &Function, call: &Call, settings: &Settings) -> TokenStream {
    let (name, krate) = (&call.name, &settings.krate);
    let carried = function.carried(&["cfg"]);
    let lints = lints();
    let record = record(function, call, settings);
    let run = run(function, call, krate);
    let arguments = arguments(call, krate);
    // A constant for the record, because to mention the struct in what is submitted is to use it,
    // and rustc warns of a task that nobody uses.
    quote! {
        #(#carried)*
        #lints
        const _: () = {
            const __RECORD: &#krate::TaskDef = #record;
            impl #krate::Task for #name {
                const DEF: &'static #krate::TaskDef = __RECORD;
                #run
                #arguments
            }
            #krate::__private::response_part! { #name }
            #krate::__private::inventory::submit! { __RECORD }
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
    // Reports give the place of this call as the task's. In parentheses, no name in it is at that
    // place, where an editor would offer it beside the function's own.
    let new = across(&call.name, quote!((#krate::TaskDef::new)(#name)));
    let docs = docs(&function.attrs).map(|docs| quote!(.docs(#docs)));
    // Each setting is a method of that name, which is where an error about its value is.
    let timeout = settings
        .timeout
        .as_ref()
        .map(|(word, timeout)| match timeout {
            Timeout::Millis(millis) => {
                let millis = Literal::u64_suffixed(*millis);
                quote!(.#word(::core::time::Duration::from_millis(#millis)))
            }
            Timeout::Constant(value) => quote!(.#word(#value)),
        });
    let on_error = settings.on_error.as_ref();
    let on_error = on_error.map(|(word, path)| quote!(.#word(#path)));
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
    let mut text = String::new();
    let mut parts = Vec::new();
    for (index, line) in lines.enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if let Some(line) = settings::text(line) {
            // `/// text` is `#[doc = " text"]`.
            let line = line.value();
            text.push_str(line.strip_prefix(' ').unwrap_or(&line));
        } else {
            // `include_str!` and the like.
            let before = mem::take(&mut text);
            parts.extend([quote!(#before), quote!(#line)]);
        }
    }
    match (parts.is_empty(), text.is_empty()) {
        (true, true) => None,
        (true, false) => Some(quote!(#text)),
        (false, _) => Some(quote!(::core::concat!(#(#parts,)* #text))),
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
    let call = quote!(#called(#(#arguments),*));
    // That the work cannot be sent to another thread is said of the function, by its name.
    let work = if function.sig.asyncness.is_some() {
        let outcome = outcome(function, &quote!(#call.await), krate);
        let body = block(called.span(), quote!(#(#states)* #outcome));
        let used = used_as_a_value(called);
        let work = quote_spanned!(called.span()=> async move #body);
        quote!(#used #work)
    } else {
        let outcome = outcome(function, &call, krate);
        let body = block(called.span(), quote!(#(#states)* #outcome));
        let closure = quote_spanned!(called.span()=> move || #body);
        quote!(#krate::__private::blocking(#closure))
    };
    let future =
        quote!(impl ::core::marker::Send + ::core::future::Future<Output = #krate::TaskResult>);
    let future = across(called, future);
    quote! {
        fn run(self, __cx: #krate::TaskContext) -> #future {
            #unpack
            #work
        }
    }
}

/// `tokens`, wherever they are, in braces at `span`.
fn block(span: Span, tokens: TokenStream) -> Group {
    let mut block = Group::new(Delimiter::Brace, tokens);
    block.set_span(span);
    block
}

/// What the `call` comes to. That it comes to something else is the return type's mistake.
fn outcome(function: &Function, call: &TokenStream, krate: &Krate) -> TokenStream {
    let convert = quote!(#krate::__private::IntoTaskResult::into_task_result);
    let ReturnType::Type(_, ty) = &function.sig.output else {
        return quote!(#convert(#call));
    };
    // A field, since a variable is one token and cannot reach across a type of several.
    let (convert, output) = (across(ty, convert), across(ty, quote!(__output.0)));
    quote! {
        let __output = (#call,);
        #convert(#output)
    }
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
    let traits = (!call.fields().all(Parameter::is_secret))
        .then(|| quote!(use #krate::__private::{DebugArgument as _, OpaqueArgument as _};));
    quote! {
        fn arguments(&self) -> ::core::option::Option<impl ::core::fmt::Debug> {
            #traits
            #krate::__private::arguments([#(#values),*])
        }
    }
}
