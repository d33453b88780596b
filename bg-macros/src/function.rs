//! A function as an attribute sees it: parsed, except for its body.

use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt as _, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Path, Signature, Token, Visibility, parse_quote};

/// The body stays tokens. There is nothing in it for an attribute to read, it costs time to parse,
/// and a half-typed one would otherwise take away the very item the editor needs to help finish it.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) sig: Signature,
    /// The braces and what is in them, or the `;` of a declaration.
    pub(crate) body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        Ok(Self {
            attrs: input.call(Attribute::parse_outer)?,
            vis: input.parse()?,
            sig: input.parse()?,
            body: input.parse()?,
        })
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.append_all(&self.attrs);
        self.vis.to_tokens(tokens);
        self.sig.to_tokens(tokens);
        self.body.to_tokens(tokens);
    }
}

impl Function {
    /// The attributes with one of these names, for generated items to have as well: as they are
    /// written, and under the same conditions (`cfg_attr`).
    pub(crate) fn carried(&self, names: &[&str]) -> Vec<Attribute> {
        self.attrs
            .iter()
            .filter_map(|attr| {
                if attr.path().is_ident("cfg_attr") {
                    carried_conditionally(attr, names)
                } else {
                    is_one_of(attr.meta.path(), names).then(|| attr.clone())
                }
            })
            .collect()
    }
}

/// `#[cfg_attr(condition, attribute, ..)]` with only the attributes of these names. `None` if there
/// is no such attribute.
fn carried_conditionally(attr: &Attribute, names: &[&str]) -> Option<Attribute> {
    let Meta::List(list) = &attr.meta else {
        return None;
    };
    let parser = |input: ParseStream<'_>| {
        let mut condition = TokenStream::new();
        while !input.peek(Token![,]) {
            condition.append(input.parse::<TokenTree>()?);
        }
        input.parse::<Token![,]>()?;
        let metas = Punctuated::<Meta, Token![,]>::parse_terminated(input)?;
        Ok((condition, metas))
    };
    let (condition, metas) = list.parse_args_with(parser).ok()?;
    let carried: Vec<_> = metas
        .into_iter()
        .filter(|meta| is_one_of(meta.path(), names))
        .collect();
    (!carried.is_empty()).then(|| parse_quote!(#[cfg_attr(#condition, #(#carried),*)]))
}

/// A statement that does nothing but use the function as a value: clippy's `unused_async` then lets
/// it be `async` without an `await`.
pub(crate) fn used_as_a_value(name: &Ident) -> TokenStream {
    // Not at the name's own place, where an editor would find one more use of it.
    let mut name = name.clone();
    name.set_span(Span::call_site().resolved_at(name.span()));
    quote!(let _ = #name;)
}

fn is_one_of(path: &Path, names: &[&str]) -> bool {
    names.iter().any(|name| path.is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn carried(tokens: TokenStream) -> String {
        let function: Function = syn::parse2(tokens).expect("a function");
        let attrs = function.carried(&["cfg", "doc", "deprecated"]);
        quote!(#(#attrs)*).to_string().replace(' ', "")
    }

    #[test]
    fn the_body_of_a_function_may_be_any_tokens() {
        let tokens = quote!(pub async fn f(a: u8) -> u8 { a. ; let });
        let function: Function = syn::parse2(tokens.clone()).expect("a function");
        assert_eq!(function.to_token_stream().to_string(), tokens.to_string());
    }

    #[test]
    fn attributes_of_the_given_names_are_carried() {
        let kept = carried(quote! {
            #[inline] #[cfg(unix)] #[doc = "x"] #[must_use] #[deprecated(note = "y")]
            fn f() {}
        });
        assert_eq!(kept, r#"#[cfg(unix)]#[doc="x"]#[deprecated(note="y")]"#);
    }

    #[test]
    fn of_a_cfg_attr_only_attributes_of_the_given_names_are_carried() {
        let kept = carried(quote! {
            #[cfg_attr(all(unix, test), inline, doc(hidden), doc = "x")]
            #[cfg_attr(test, inline)]
            #[cfg_attr(test)]
            #[cfg_attr]
            fn f() {}
        });
        assert_eq!(kept, r#"#[cfg_attr(all(unix,test),doc(hidden),doc="x")]"#);
    }
}
