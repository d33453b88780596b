//! `routes![..]`: a router of the handlers named in it; and `method_router![..]`, of one.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser as _};
use syn::{Attribute, Expr, Path, Token};

use crate::errors::{Errors, across};
use crate::krate::Krate;
use crate::settings::skip_past_comma;
use crate::source_text::source_text;
use crate::syntax;

/// Expands `routes![input]`: to a router, even if something is wrong.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (list, errors) = Errors::collect(|errors| List::parse(input, errors));
    let handlers = &list.handlers;
    let krate = &list.krate;

    let numbered = || handlers.iter().enumerate();
    let routes = numbered()
        .map(|(number, Handler { cfgs, path })| quote!(#(#cfgs)* (#number, <#path>::__ROUTE)));
    // One for each handler, because only a literal can name it: a panic in a constant formats nothing.
    // Not at the handler's place: for that, `core` and `assert` would have to be there as well, where an
    // editor would offer them beside the handler.
    let checks = numbered().map(|(number, Handler { cfgs, path })| {
        let handler = source_text(path);
        let message =
            format!("`{handler}` has the method and path of a handler before it in this list");
        // `{}`, because a path may have braces in it, as in `a::<{ 1 }>`.
        quote! {
            #(#cfgs)*
            const _: () =
                ::core::assert!(#krate::__private::is_distinct(__ROUTES, #number), "{}", #message);
        }
    });
    let mounts = handlers.iter().map(|Handler { cfgs, path }| {
        let methods = method_router(path);
        quote! {
            #(#cfgs)*
            let __router = #krate::__private::mount(__router, <#path>::__ROUTE, #methods);
        }
    });
    quote!({
        #errors
        const __ROUTES: &[(usize, #krate::__private::RouteDef)] = &[#(#routes),*];
        // Without handlers, or where every one is configured out, nothing else looks at it; and an `allow`
        // is an error where the lint is forbidden.
        const _: usize = __ROUTES.len();
        #(#checks)*
        let __router = #krate::__private::axum::Router::new();
        #(#mounts)*
        __router
    })
}

/// Expands `method_router![input]`: to a method router, even if something is wrong.
pub(crate) fn expand_one(input: TokenStream) -> TokenStream {
    let (list, errors) = Errors::collect(|errors| {
        let place = input.clone();
        let list = List::parse(input, errors);
        one(&list, &place, errors);
        list
    });
    let krate = &list.krate;
    let Some(Handler { path, .. }) = list.handlers.first() else {
        return quote!({
            #errors
            #krate::__private::axum::routing::MethodRouter::new()
        });
    };
    let methods = method_router(path);
    // A variable, because a block at the beginning of a statement is a statement of its own.
    quote!({
        #errors
        let __methods = #methods;
        __methods
    })
}

/// Reports what is not exactly one handler.
fn one(list: &List, input: &TokenStream, errors: &mut Errors) {
    if input.is_empty() {
        errors.at(
            Span::call_site(),
            "name a handler, as in `method_router![users::create]`",
        );
    }
    for Handler { cfgs, .. } in &list.handlers {
        for cfg in cfgs {
            errors.on(
                cfg,
                "put the `#[cfg(..)]` before the statement that needs the method router",
            );
        }
    }
    for Handler { path, .. } in list.handlers.iter().skip(1) {
        errors.on(
            path,
            "a method router is of one handler, whose path is given beside it\n\
             `routes![..]` makes a router of several handlers",
        );
    }
}

/// The method router of the handler at `path`.
fn method_router(path: &Path) -> TokenStream {
    // On the handler's name, for errors about what it extracts.
    let method_router = across(path, quote!(<#path>::__method_router));
    // In braces, because an error about a call is shown at its end. The call is on the handler's name as well, for
    // the error about another state than that of the handlers before it.
    across(path, quote!({ #method_router }()))
}

/// The contents of the brackets.
struct List {
    krate: Krate,
    handlers: Vec<Handler>,
}

struct Handler {
    cfgs: Vec<Attribute>,
    path: Path,
}

impl List {
    /// Reads all of `input`: a mistake in one handler does not hide the others.
    fn parse(input: TokenStream, errors: &mut Errors) -> Self {
        let mut setting = None;
        let mut handlers = Vec::new();
        let parser = |input: ParseStream<'_>| {
            setting = krate(input, errors);
            while !input.is_empty() {
                let handler = Handler::parse(input, errors);
                handlers.extend(errors.ok(handler).flatten());
                if !input.is_empty() && !input.peek(Token![,]) {
                    errors.push(input.error("expected `,`"));
                }
                skip_past_comma(input);
            }
            Ok(())
        };
        let read = parser.parse2(input);
        errors.ok(read);
        Self {
            krate: Krate::new(setting, errors),
            handlers,
        }
    }
}

/// Reads `crate = ..`, which comes first if at all.
fn krate(input: ParseStream<'_>, errors: &mut Errors) -> Option<Expr> {
    if !input.peek(Token![crate]) || !input.peek2(Token![=]) {
        return None;
    }
    let setting = |input: ParseStream<'_>| {
        input.parse::<Token![crate]>()?;
        input.parse::<Token![=]>()?;
        input.parse()
    };
    let path = errors.ok(setting(input));
    skip_past_comma(input);
    path
}

impl Handler {
    fn parse(input: ParseStream<'_>, errors: &mut Errors) -> syn::Result<Option<Self>> {
        let mut cfgs = input.call(Attribute::parse_outer)?;
        cfgs.retain(|attr| {
            let is_cfg = attr.path().is_ident("cfg");
            if !is_cfg {
                errors.on(attr, "only `#[cfg(..)]` can stand before a handler here");
            }
            is_cfg
        });
        let handler = syntax::ungrouped(input.parse()?);
        let path = syntax::path(&handler).cloned();
        if path.is_none() {
            errors.on(handler, "name a handler, as in `users::create`");
        }
        Ok(path.map(|path| Self { cfgs, path }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expansion(input: TokenStream) -> String {
        let expansion = expand(input);
        assert!(
            syn::parse2::<Expr>(expansion.clone()).is_ok(),
            "{expansion}"
        );
        expansion.to_string().replace(' ', "")
    }

    #[test]
    fn handlers_are_compared_and_mounted_in_their_order() {
        let expansion = expansion(quote!(
            list,
            #[cfg(unix)]
            users::create,
        ));
        let (list, create) = (
            expansion.rfind("<list>::__method_router"),
            expansion.rfind("<users::create>"),
        );
        assert!(list.is_some() && list < create);
        let routes = "[(0usize,<list>::__ROUTE),#[cfg(unix)](1usize,<users::create>::__ROUTE)]";
        assert!(expansion.contains(routes), "{expansion}");
        assert!(expansion.contains("#[cfg(unix)]const_:()=::core::assert!"));
        assert!(expansion.contains("#[cfg(unix)]let__router="));
        assert!(!expansion.contains("compile_error"));
    }

    #[test]
    fn without_handlers_there_is_an_empty_router() {
        for input in [quote!(), quote!(crate = ::renamed)] {
            let expansion = expansion(input);
            assert!(!expansion.contains("compile_error") && !expansion.contains("__method_router"));
        }
    }

    #[test]
    fn the_runtime_is_named_by_the_path_that_crate_sets() {
        let expansion = expansion(quote!(crate = ::renamed, list, crate::other));
        assert!(expansion.contains("::renamed::") && !expansion.contains("bg_runtime"));
        assert!(expansion.contains("<crate::other>"));
    }

    #[test]
    fn a_mistake_does_not_hide_the_handlers_after_it() {
        for wrong in [
            quote!(list()),
            quote!("list"),
            quote!(<A as B>::c),
            quote!(a b),
            quote!(
                #[inline]
                a
            ),
            quote!(,),
            quote!(=),
            quote!(crate = 1),
            quote!(crate = ),
            quote!({ a: b } 'c 1.5),
        ] {
            let expansion = expansion(quote!(#wrong, after));
            assert!(expansion.contains("compile_error"), "{wrong}");
            assert!(expansion.contains("<after>::__method_router"), "{wrong}");
        }
    }
}
