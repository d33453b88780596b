//! The task's `TaskDef`: what is known about it before it runs.

use std::mem;

use proc_macro2::{Ident, Literal, TokenStream};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::{Attribute, Expr, Meta};

use super::durable;
use crate::errors::across;
use crate::function::Function;
use crate::krate::Krate;
use crate::source_text::source_text;
use crate::syntax;
use crate::task::backoff::Backoff;
use crate::task::call::Call;
use crate::task::durable::Durable;
use crate::task::parameter::Source;
use crate::task::rate::Rate;
use crate::task::settings::{Settings, Time};

pub(super) fn expand(
    function: &Function,
    call: &Call,
    durable: Option<&Durable>,
    settings: &Settings,
) -> TokenStream {
    let krate = &settings.krate;
    let name = match &settings.name {
        Some(name) => quote!(#name),
        None => {
            let name = function.sig.ident.unraw().to_string();
            quote!(::core::concat!(::core::module_path!(), "::", #name))
        }
    };
    // `TaskDef::new` is `#[track_caller]`: reports give the place of this call as the task's. In
    // parentheses, so that no name is at that place, where an editor would offer it beside the
    // function's own.
    let new = across(&call.name, quote!((#krate::TaskDef::new)(#name)));
    let new = match durable {
        Some(stored) => durable::record(&new, stored, call, krate),
        None => new,
    };
    let docs = docs(&function.attrs).map(|docs| quote!(.docs(#docs)));
    // Each setting is a method of that name, which is where an error about its value is.
    let time = |(word, time): &(Ident, Time)| match time {
        Time::Millis(millis) => {
            let time = duration(*millis);
            quote!(.#word(#time))
        }
        Time::Constant(value) => quote!(.#word(#value)),
    };
    let timeout = settings.timeout.as_ref().map(time);
    let expires = settings.expires.as_ref().map(time);
    let number = |(word, value): &(Ident, Expr)| quote!(.#word(#value));
    let retries = settings.retries.as_ref().map(number);
    let limits = settings.limits.iter().map(number);
    let backoff = settings
        .backoff
        .as_ref()
        .map(|(word, backoff)| self::backoff(word, backoff, krate));
    let on_full = settings.on_full.as_ref();
    let on_full = on_full.map(|(word, variant)| quote!(.#word(#krate::OnFull::#variant)));
    let rate = settings.rate.as_ref();
    let rate = rate.map(|(word, rate)| self::rate(word, rate, krate));
    let on_error = settings.on_error.as_ref();
    let on_error = on_error.map(|(word, path)| quote!(.#word(#path)));
    let blocking = function.sig.asyncness.is_none();
    let blocking = blocking.then(|| quote!(.blocking()));
    let parameters = parameters(call, krate);
    let states = states(call, krate);
    quote! {
        &#new #docs #timeout #expires #retries #backoff #(#limits)* #on_full #rate #on_error #blocking
            #parameters #states
    }
}

/// `.backoff(..)`
fn backoff(word: &Ident, backoff: &Backoff, krate: &Krate) -> TokenStream {
    match backoff {
        Backoff::Millis(least, most) if least == most => {
            let wait = duration(*least);
            quote!(.#word(#krate::Backoff::fixed(#wait)))
        }
        Backoff::Millis(least, most) => {
            let (least, most) = (duration(*least), duration(*most));
            quote!(.#word(#krate::Backoff::exponential(#least, #most)))
        }
        Backoff::Constant(value) => quote!(.#word(#value)),
    }
}

/// `.rate(..)`
fn rate(word: &Ident, rate: &Rate, krate: &Krate) -> TokenStream {
    match rate {
        Rate::PerMillis(runs, millis) => {
            let (runs, per) = (Literal::u64_unsuffixed(*runs), duration(*millis));
            quote!(.#word(#krate::Rate::new(#runs, #per)))
        }
        Rate::Constant(value) => quote!(.#word(#value)),
    }
}

fn duration(millis: u64) -> TokenStream {
    let millis = Literal::u64_suffixed(millis);
    quote!(::core::time::Duration::from_millis(#millis))
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
        if let Some(line) = syntax::text(line) {
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
    // A constant, which lives as long as the record does.
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
