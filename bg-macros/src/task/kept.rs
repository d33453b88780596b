//! What a task keeps of a parameter. It runs when its caller is gone, so it owns everything.

use proc_macro2::TokenStream;
use quote::{ToTokens as _, quote};
use syn::visit_mut::{self, VisitMut};
use syn::{
    GenericArgument, ParenthesizedGenericArguments, Path, PathArguments, TraitBound, Type,
    TypeFnPtr, TypeImplTrait, TypeReference,
};

use crate::errors::Errors;
use crate::syntax::plain;

/// The type that a task keeps for a parameter.
pub(super) struct Kept {
    pub(super) ty: TokenStream,
    /// The function takes a reference to the type.
    pub(super) lent: bool,
    /// The type is text, and `new` takes anything that converts to it.
    pub(super) text: bool,
}

impl Kept {
    /// Returns what to keep for a parameter of type `ty`.
    pub(super) fn new(ty: &Type, errors: &mut Errors) -> Self {
        match plain(ty) {
            // A `&'static` reference can be kept as it is.
            Type::Reference(reference)
                if reference.mutability.is_none() && !is_static(reference) =>
            {
                Self::lent(reference, errors)
            }
            ty => Self::owned(ty, errors),
        }
    }

    fn owned(ty: &Type, errors: &mut Errors) -> Self {
        Borrows { errors }.visit_type_mut(&mut ty.clone());
        Self {
            ty: ty.to_token_stream(),
            lent: false,
            text: is_text(ty),
        }
    }

    fn lent(reference: &TypeReference, errors: &mut Errors) -> Self {
        let target = plain(&reference.elem);
        let (ty, text) = match target {
            Type::Slice(slice) => {
                let element = Self::owned(&slice.elem, errors).ty;
                (quote!(::std::vec::Vec<#element>), false)
            }
            Type::Path(path) if path.path.is_ident("str") => (quote!(::std::string::String), true),
            Type::Path(path) if is_std(&path.path, "path", "Path") => {
                (quote!(::std::path::PathBuf), true)
            }
            Type::Path(path) if is_std(&path.path, "ffi", "OsStr") => {
                (quote!(::std::ffi::OsString), true)
            }
            Type::TraitObject(object) => {
                let object = object.to_token_stream();
                errors.on(
                    reference,
                    "a task cannot keep a trait object behind a reference\n\
                     share it, as in `Arc<dyn Trait + Send + Sync>`, or own it, as in \
                     `Box<dyn Trait + Send>`",
                );
                (object, false)
            }
            target => {
                let Self { ty, text, .. } = Self::owned(target, errors);
                (ty, text)
            }
        };
        Self {
            ty,
            lent: true,
            text,
        }
    }
}

/// Reports what cannot be kept, anywhere inside a type.
struct Borrows<'a> {
    errors: &'a mut Errors,
}

impl VisitMut for Borrows<'_> {
    fn visit_type_reference_mut(&mut self, reference: &mut TypeReference) {
        if let Some(mutability) = &reference.mutability {
            let and = reference.and_token;
            self.errors.on(
                quote!(#and #mutability),
                "a task runs when its caller is gone, and a change of this would be lost\n\
                 take it by value",
            );
        } else if !is_static(reference) {
            self.errors.on(
                &*reference,
                "a task cannot keep a reference inside another type\n\
                 own what it refers to, as in `Vec<String>` for `Vec<&str>`",
            );
        } else {
            visit_mut::visit_type_reference_mut(self, reference);
        }
    }

    fn visit_lifetime_mut(&mut self, lifetime: &mut syn::Lifetime) {
        // A named one is declared by the function, which is refused for that, or nowhere, which
        // rustc reports.
        if lifetime.ident == "_" {
            self.errors.on(
                &*lifetime,
                "a task runs when its caller is gone, and cannot keep something borrowed\n\
                 own it, or write `'static`",
            );
        }
    }

    fn visit_type_impl_trait_mut(&mut self, ty: &mut TypeImplTrait) {
        self.errors.on(
            &*ty,
            "a task keeps its arguments, so each has one type\n\
             write that type, or `Box<dyn Trait + Send>` for any",
        );
    }

    // References in a function's own signature are not kept.
    fn visit_type_fn_ptr_mut(&mut self, _: &mut TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments_mut(&mut self, _: &mut ParenthesizedGenericArguments) {
    }
    fn visit_trait_bound_mut(&mut self, bound: &mut TraitBound) {
        if bound.lifetimes.is_none() {
            visit_mut::visit_trait_bound_mut(self, bound);
        }
    }
}

fn is_static(reference: &TypeReference) -> bool {
    reference
        .lifetime
        .as_ref()
        .is_some_and(|lifetime| lifetime.ident == "static")
}

/// Returns whether the type is one of those that the runtime's `IntoText` makes: it has to list all of
/// these. An alias of one is a type like any other.
fn is_text(ty: &Type) -> bool {
    let Type::Path(ty) = ty else { return false };
    let path = &ty.path;
    is_std(path, "string", "String")
        || is_std(path, "path", "PathBuf")
        || is_std(path, "ffi", "OsString")
        || is_pointer_to_text(path)
}

/// Returns whether the type is `Box<str>`, `Arc<Path>` or the like.
fn is_pointer_to_text(path: &Path) -> bool {
    let arguments = std_type(path, "boxed", "Box").or_else(|| std_type(path, "sync", "Arc"));
    let Some(PathArguments::AngleBracketed(arguments)) = arguments else {
        return false;
    };
    let Some(GenericArgument::Type(Type::Path(target))) = arguments.args.first() else {
        return false;
    };
    arguments.args.len() == 1
        && (target.path.is_ident("str") || is_std(&target.path, "path", "Path"))
}

fn is_std(path: &Path, module: &str, name: &str) -> bool {
    matches!(std_type(path, module, name), Some(PathArguments::None))
}

/// The generic arguments of the path, if it is `name` or `std::module::name`, as far as its text tells.
fn std_type<'a>(path: &'a Path, module: &str, name: &str) -> Option<&'a PathArguments> {
    let mut segments = path.segments.iter().rev();
    let last = segments.next().filter(|last| last.ident == name)?;
    segments
        .next()
        .is_none_or(|parent| parent.ident == module)
        .then_some(&last.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_text::source_text;

    fn kept(ty: &str) -> (Kept, String) {
        let ty = syn::parse_str(ty).expect("a type");
        let (kept, errors) = Errors::collect(|errors| Kept::new(&ty, errors));
        (kept, errors.to_string())
    }

    #[test]
    fn text_is_text_however_it_is_written() {
        for (ty, keeps, lent) in [
            ("String", "String", false),
            ("std::string::String", "std::string::String", false),
            ("Box<str>", "Box<str>", false),
            ("std::sync::Arc<str>", "std::sync::Arc<str>", false),
            ("PathBuf", "PathBuf", false),
            ("&str", "::std::string::String", true),
            ("&(str)", "::std::string::String", true),
            ("&Path", "::std::path::PathBuf", true),
            ("&std::path::Path", "::std::path::PathBuf", true),
            ("&String", "String", true),
        ] {
            let (kept, errors) = kept(ty);
            assert_eq!(errors, "");
            assert_eq!(source_text(&kept.ty), keeps, "{ty}");
            assert!(kept.text && kept.lent == lent, "{ty}");
        }
    }

    #[test]
    fn a_type_that_is_no_text_is_kept_as_it_is() {
        for (ty, keeps, lent) in [
            ("u64", "u64", false),
            ("&'static str", "&'static str", false),
            ("&u64", "u64", true),
            ("&[u8]", "::std::vec::Vec<u8>", true),
            ("&[u8; 4]", "[u8; 4]", true),
            ("Option<String>", "Option<String>", false),
            ("Box<[u8]>", "Box<[u8]>", false),
            ("my::String", "my::String", false),
            ("Path<u64>", "Path<u64>", false),
            ("&Path<u64>", "Path<u64>", true),
            ("fn(&str) -> &mut u8", "fn(&str) -> &mut u8", false),
            (
                "Box<dyn Fn(&str) + Send>",
                "Box<dyn Fn(&str) + Send>",
                false,
            ),
            (
                "Box<dyn for<'a> Get<'a>>",
                "Box<dyn for<'a> Get<'a>>",
                false,
            ),
            ("Cow<'static, str>", "Cow<'static, str>", false),
        ] {
            let (kept, errors) = kept(ty);
            assert_eq!(errors, "");
            assert_eq!(source_text(&kept.ty), keeps, "{ty}");
            assert!(!kept.text && kept.lent == lent, "{ty}");
        }
    }

    #[test]
    fn a_type_that_borrows_is_refused_with_one_error() {
        for ty in [
            "&mut u8",
            "&'static mut u8",
            "&&u8",
            "Vec<&str>",
            "&[&str]",
            "Option<&mut u8>",
            "Cow<'_, str>",
            "&'static Cow<'_, str>",
            "impl Send",
            "Vec<impl Send>",
            "&dyn Send",
        ] {
            let (_, errors) = kept(ty);
            assert_eq!(errors.matches("compile_error").count(), 1, "{ty}: {errors}");
        }
    }
}
