//! `background = ..`: evaluated for each request, with the handler's arguments in scope.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use quote::{ToTokens as _, quote};
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Expr, FieldPat, FnArg, Pat, PatIdent, parse_quote};

use super::handler::Argument;
use crate::errors::{at, delimited};
use crate::function::Function;
use crate::krate::Krate;
use crate::syntax::any_token;

/// A block that queues the tasks of `background`.
///
/// It borrows the arguments, and ends before they are moved into the handler: the route's future
/// holds none of the borrows.
pub(super) fn block(background: &Expr, arguments: &[Argument], krate: &Krate) -> TokenStream {
    let names = arguments.iter().map(|argument| names(argument, krate));
    let pushes = pushes(background);
    // Both traits have the method `__bg_seen`, which `names` calls. For its receiver `&Seen(..)`, method
    // resolution tries the one of `ByValue`, and borrows the receiver once more, for `ByReference`, only
    // if the type is not `Copy`. So both are in scope, and there is exactly one `&` before `Seen`.
    quote! {
        {
            #[allow(unused_imports)]
            use #krate::__private::{ByReference as _, ByValue as _};
            #(#names)*
            let __tasks = #krate::__private::route_tasks();
            #pushes
        }
    }
}

/// Silences the warning about an unused argument where `background` uses it.
///
/// With an attribute on the argument, so that nothing else of the function changes, and no place in it.
pub(super) fn mark_used(mut handler: Function, background: &Expr) -> Function {
    let background = background.to_token_stream();
    for input in &mut handler.sig.inputs {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        let mut names = Names(Vec::new());
        names.visit_pat_mut(&mut argument.pat.clone());
        if names
            .0
            .iter()
            .any(|Name { name, .. }| uses(background.clone(), name))
        {
            argument
                .attrs
                .push(parse_quote!(#[allow(unused_variables)]));
        }
    }
    handler
}

/// Returns whether a name is among the tokens, or in text to be formatted: `"{id}"`.
fn uses(tokens: TokenStream, name: &Ident) -> bool {
    any_token(tokens, &|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Literal(literal) => literal.to_string().contains(&format!("{{{name}")),
        TokenTree::Punct(_) | TokenTree::Group(_) => false,
    })
}

/// Brings the names in an argument's pattern into scope: what is `Copy` by value, and the rest by
/// reference.
fn names(argument: &Argument, krate: &Krate) -> TokenStream {
    if let Pat::Wild(_) = argument.pattern {
        return TokenStream::new();
    }
    let mut pattern = argument.pattern.clone();
    let mut names = Names(Vec::new());
    names.visit_pat_mut(&mut pattern);

    let variable = &argument.variable;
    // Lints have seen the pattern where the handler has it.
    let quiet = quote!(#[allow(warnings)]);
    let names = names.0.iter().map(|Name { name, stars }| {
        quote! {
            #quiet
            let #name = (&#krate::__private::Seen(#stars #name)).__bg_seen();
        }
    });
    quote! {
        #quiet
        let #pattern = &#variable;
        #(#names)*
    }
}

/// Collects the names that a pattern binds, and removes from it what edition 2024 refuses in a pattern
/// for a reference: `mut`, `ref` and `&`.
struct Names(Vec<Name>);

struct Name {
    name: Ident,
    /// A `*` for each `&` that stood before the name, and would have dereferenced it.
    stars: TokenStream,
}

impl VisitMut for Names {
    fn visit_pat_mut(&mut self, pattern: &mut Pat) {
        let mut stars = TokenStream::new();
        while let Pat::Reference(reference) = pattern {
            stars.extend(quote!(*));
            *pattern = (*reference.pat).clone();
        }
        if let Pat::Ident(PatIdent {
            by_ref,
            mutability,
            ident: name,
            ..
        }) = pattern
        {
            *by_ref = None;
            *mutability = None;
            // With a capital letter it is a unit struct or a constant, which binds nothing. If it is
            // a variable, `background` sees it by reference.
            let binds = !name.to_string().starts_with(char::is_uppercase);
            if binds && !self.0.iter().any(|other| other.name == *name) {
                let name = name.clone();
                self.0.push(Name { name, stars });
            }
        }
        visit_mut::visit_pat_mut(self, pattern);
    }

    fn visit_field_pat_mut(&mut self, field: &mut FieldPat) {
        let before = self.0.len();
        visit_mut::visit_field_pat_mut(self, field);
        // Under a `#[cfg]`, the name may not be there.
        if !field.attrs.is_empty() {
            self.0.truncate(before);
        }
    }
}

/// One call for each task of a list, whose types may all be different.
fn pushes(background: &Expr) -> TokenStream {
    match background {
        Expr::Array(list) => list.elems.iter().map(push).collect(),
        task => push(task),
    }
}

fn push(task: &Expr) -> TokenStream {
    // On the task's own token, so that an error about its type does not point at the attribute.
    let span = task.span();
    let push = at(span, quote!(push));
    // Attributes, `#[cfg]` above all, are for the whole statement.
    let (attrs, task) = split_attributes(task);
    let task = delimited(Delimiter::Parenthesis, span, task);
    quote! {
        #(#attrs)*
        __tasks.#push #task;
    }
}

fn split_attributes(task: &Expr) -> (Vec<Attribute>, TokenStream) {
    let split = |input: ParseStream<'_>| Ok((input.call(Attribute::parse_outer)?, input.parse()?));
    let tokens = task.to_token_stream();
    split
        .parse2(tokens.clone())
        .unwrap_or_else(|_| (Vec::new(), tokens))
}
