//! What a route needs to know about its handler, and which functions cannot be one.

use proc_macro2::Ident;
use quote::format_ident;
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit_mut::VisitMut;
use syn::{
    Attribute, FnArg, GenericParam, Pat, PatIdent, PatType, ReturnType, Safety, Signature, Type,
};

use super::parse;
use crate::errors::Errors;
use crate::function::Function;
use crate::source_text::source_text;
use crate::syntax::is_named;

/// An argument of the handler.
pub(super) struct Argument {
    pub(super) pattern: Pat,
    pub(super) ty: Type,
    /// The variable that holds it on the way to the handler.
    pub(super) variable: Ident,
    /// The index of the path's parameter that it is. `None` if it is an extractor.
    pub(super) parameter: Option<usize>,
}

impl Argument {
    /// Its name. `None` if its pattern is more than a name.
    pub(super) fn name(&self) -> Option<String> {
        match &self.pattern {
            Pat::Ident(PatIdent {
                by_ref: None,
                subpat: None,
                ident,
                ..
            }) => Some(ident.unraw().to_string()),
            _ => None,
        }
    }
}

/// Reads the arguments of the handler. `None` if there can be no struct beside it.
pub(super) fn arguments(handler: &Function, errors: &mut Errors) -> Option<Vec<Argument>> {
    if let Some(other) = other_attribute(handler) {
        // That one makes a struct of the same name.
        errors.on(
            other,
            "a handler has one route attribute\n\
             for several methods, write `#[route(\"/form\", methods = [GET, POST])]`",
        );
        return None;
    }
    refuse_modifiers(&handler.sig, errors);
    if let Some(receiver) = handler.sig.receiver() {
        errors.on(
            receiver,
            "a handler has no `self`: it is a function of its own\n\
             share what it needs through `State`",
        );
        return None;
    }
    let inputs = handler.sig.inputs.iter();
    let typed = inputs.filter_map(|input| match input {
        FnArg::Typed(argument) => Some(argument),
        FnArg::Receiver(_) => None,
    });
    Some(
        typed
            .enumerate()
            .map(|(index, written)| argument(index, written, errors))
            .collect(),
    )
}

fn argument(index: usize, written: &PatType, errors: &mut Errors) -> Argument {
    for attr in &written.attrs {
        if attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr") {
            errors.on(
                attr,
                "a handler has the same arguments everywhere\n\
                 put `#[cfg]` on the function, and write one for each case",
            );
        }
    }
    OneType(errors).visit_type_mut(&mut written.ty.clone());
    Argument {
        pattern: (*written.pat).clone(),
        ty: (*written.ty).clone(),
        variable: format_ident!("__arg{index}", span = written.ty.span()),
        parameter: None,
    }
}

fn other_attribute(handler: &Function) -> Option<&Attribute> {
    let is_ours = |attr: &&Attribute| attr.path().get_ident().is_some_and(parse::is_attribute);
    handler.attrs.iter().find(is_ours)
}

fn refuse_modifiers(sig: &Signature, errors: &mut Errors) {
    if let Some(constness) = &sig.constness {
        errors.on(
            constness,
            "a handler cannot be `const`: it is an `async fn`",
        );
    }
    if let Safety::Unsafe(token) = &sig.safety {
        errors.on(
            token,
            "a handler cannot be `unsafe`: any request may call it",
        );
    }
    if let Some(abi) = &sig.abi {
        errors.on(abi, "a handler cannot be `extern`: it is an `async fn`");
    }
    if let Some(variadic) = &sig.variadic {
        errors.on(variadic, "a handler has a fixed number of arguments");
    }
    if sig.asyncness.is_none() && sig.constness.is_none() && !may_be_a_future(&sig.output) {
        errors.on(sig.fn_token, "a handler must be an `async fn`");
    }
    for parameter in &sig.generics.params {
        let message = match parameter {
            GenericParam::Lifetime(_) => "a handler owns its arguments, and has no lifetimes",
            GenericParam::Type(_) | GenericParam::Const(_) => {
                "a handler cannot be generic: each route is one function"
            }
        };
        errors.on(parameter, message);
    }
}

/// Returns whether a function that is not `async` may be a handler, because it returns a future.
/// Only the compiler knows which types are futures, but some are known not to be.
fn may_be_a_future(output: &ReturnType) -> bool {
    const RESPONSES: [&str; 11] = [
        "Body",
        "Bytes",
        "Form",
        "Html",
        "Json",
        "Option",
        "Redirect",
        "Response",
        "Result",
        "StatusCode",
        "String",
    ];
    let ReturnType::Type(_, ty) = output else {
        return false;
    };
    match &**ty {
        Type::Path(_) => !is_named(ty, &RESPONSES),
        Type::ImplTrait(ty) => source_text(ty).contains("Future"),
        Type::Array(_) | Type::Reference(_) | Type::Tuple(_) => false,
        _ => true,
    }
}

/// Reports each `impl Trait` in a type.
struct OneType<'a>(&'a mut Errors);

impl VisitMut for OneType<'_> {
    fn visit_type_impl_trait_mut(&mut self, ty: &mut syn::TypeImplTrait) {
        self.0.on(
            ty,
            "a handler cannot be generic, and `impl Trait` makes it so\nname the extractor's type",
        );
    }
}
