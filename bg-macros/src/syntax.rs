//! Questions about syntax that several parsers ask.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{Expr, ExprLit, ExprPath, Lit, LitStr, Path, PathSegment, Type};

/// The value without the invisible group that a `macro_rules!` macro puts around its `$value:expr`.
pub(crate) fn ungrouped(value: Expr) -> Expr {
    match value {
        Expr::Group(group) => ungrouped(*group.expr),
        value => value,
    }
}

/// The type without parentheses, and without the invisible group that a `macro_rules!` macro puts
/// around its `$t:ty`.
pub(crate) fn plain(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => plain(&group.elem),
        Type::Paren(paren) => plain(&paren.elem),
        ty => ty,
    }
}

/// The string literal that `value` is, if it is one.
pub(crate) fn text(value: &Expr) -> Option<&LitStr> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Some(text),
        _ => None,
    }
}

/// The path that `value` is, if it is one: `a::b`, but not `<A as B>::c`.
pub(crate) fn path(value: &Expr) -> Option<&Path> {
    match value {
        Expr::Path(ExprPath {
            qself: None, path, ..
        }) => Some(path),
        _ => None,
    }
}

/// `Json<T>` of `axum::Json<T>`. `None` if the type is not a path.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match plain(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// Returns whether the type has one of these names, with any module and any arguments.
pub(crate) fn is_named(ty: &Type, names: &[&str]) -> bool {
    last_segment(ty).is_some_and(|last| names.iter().any(|name| last.ident == name))
}

/// Returns whether the identifier `name` is among the tokens, in groups as well.
pub(crate) fn mentions<N: ?Sized>(tokens: TokenStream, name: &N) -> bool
where
    Ident: PartialEq<N>,
{
    any_token(
        tokens,
        &|token| matches!(token, TokenTree::Ident(ident) if ident == name),
    )
}

/// Returns whether one of the tokens, or of those in groups, is as `is` asks for. A group itself is
/// not looked at.
pub(crate) fn any_token(tokens: TokenStream, is: &impl Fn(&TokenTree) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => any_token(group.stream(), is),
        token => is(&token),
    })
}
