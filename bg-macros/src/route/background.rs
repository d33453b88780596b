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
/// holds none of the borrows. The closure, with its return type, is what even a `return` that a macro
/// hides cannot leave without a compile error.
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
            #krate::__private::queue_route_tasks(
                |__tasks: #krate::__private::RouteTasks| -> #krate::__private::RouteTasks {
                    #pushes
                    __tasks
                },
            );
        }
    }
}

/// Silences the warning about an unused argument where `background` uses it.
///
/// With an attribute on the argument, so that nothing else of the function changes, and no place in it.
pub(super) fn mark_used(mut handler: Function, background: &Expr) -> Function {
    let background = background.to_token_stream();
    let body = handler.body.clone();
    for input in &mut handler.sig.inputs {
        let FnArg::Typed(argument) = input else {
            continue;
        };
        let mut names = Names(Vec::new());
        names.visit_pat_mut(&mut argument.pat.clone());
        // Not where the body has the name as well: where the lint is forbidden, an `allow` is an error.
        if names.0.iter().any(|Name { name, .. }| {
            uses(background.clone(), name) && !has_variable(body.clone(), name)
        }) {
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

/// Returns whether a variable of that name may be among the tokens: a field or method (`user.name`), or a
/// field's name before its value, is none.
fn has_variable(tokens: TokenStream, name: &Ident) -> bool {
    let trees: Vec<_> = tokens.into_iter().collect();
    let is = |tree: Option<&TokenTree>, punct: char| matches!(tree, Some(TokenTree::Punct(it)) if it.as_char() == punct);
    trees.iter().enumerate().any(|(index, tree)| match tree {
        TokenTree::Group(group) => has_variable(group.stream(), name),
        TokenTree::Ident(ident) if ident == name => {
            let before = |steps: usize| index.checked_sub(steps).and_then(|at| trees.get(at));
            let is_member = is(before(1), '.') && !is(before(2), '.');
            !is_member && !is(trees.get(index + 1), ':')
        }
        tree => uses(tree.clone().into(), name),
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
    // A use of each, because `allow(warnings)` does not undo a lint that is denied by its name.
    let names = names.0.iter().map(|Name { name, stars, cfgs }| {
        quote! {
            #(#cfgs)*
            #quiet
            let #name = (&#krate::__private::Seen(#stars #name)).__bg_seen();
            #(#cfgs)*
            #krate::__private::used(&#name);
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
    /// The conditions under which the pattern has the name.
    cfgs: Vec<Attribute>,
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
                let cfgs = Vec::new();
                self.0.push(Name { name, stars, cfgs });
            }
        }
        visit_mut::visit_pat_mut(self, pattern);
    }

    fn visit_field_pat_mut(&mut self, field: &mut FieldPat) {
        let before = self.0.len();
        visit_mut::visit_field_pat_mut(self, field);
        let cfgs = field
            .attrs
            .iter()
            .filter(|attr| attr.path().is_ident("cfg"));
        for name in &mut self.0[before..] {
            name.cfgs.extend(cfgs.clone().cloned());
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
