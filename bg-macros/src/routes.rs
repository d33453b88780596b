//! `routes![..]`: a router of the handlers named in it.

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, ExprPath, Path, Token};

use crate::errors::{Errors, at};
use crate::krate::Krate;
use crate::settings::skip_past_comma;
use crate::source_text::source_text;

/// What `routes![input]` stands for. Whatever is wrong, it is a router.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let (list, errors) = Errors::collect(|errors| List::parse(input, errors));
    let handlers = &list.handlers;
    let krate = &list.krate;

    let routes = handlers.iter().map(|Handler { cfgs, path }| {
        let written = source_text(path);
        quote!(#(#cfgs)* (<#path>::__ROUTE, #written))
    });
    let mounts = handlers.iter().map(|Handler { cfgs, path }| {
        // The call is on the handler's name, for errors about what it extracts.
        let mount = at(path.span(), quote!(__mount));
        quote! {
            #(#cfgs)*
            let __router = <#path>::#mount(__router);
        }
    });
    quote!({
        #errors
        const _: () = #krate::__private::assert_distinct(&[#(#routes),*]);
        let __router = #krate::__private::axum::Router::new();
        #(#mounts)*
        __router
    })
}

/// What stands between the brackets.
struct List {
    krate: Krate,
    handlers: Vec<Handler>,
}

struct Handler {
    cfgs: Vec<Attribute>,
    path: Path,
}

impl List {
    /// Reads all of `input`: a handler that is not one does not hide the others.
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
        let cfgs = input.call(Attribute::parse_outer)?;
        for attr in cfgs.iter().filter(|attr| !attr.path().is_ident("cfg")) {
            errors.on(attr, "only `#[cfg(..)]` can stand before a handler here");
        }
        match input.parse()? {
            Expr::Path(ExprPath { qself: None, path, .. }) => Ok(Some(Self { cfgs, path })),
            other => {
                errors.on(other, "name a handler, as in `users::create`");
                Ok(None)
            }
        }
    }
}
