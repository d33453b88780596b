//! Which argument takes which parameter of the path.
//!
//! An argument named like a parameter is that parameter. All others are extractors, and what an
//! extractor reads is known only to itself: a mistake is reported only if no extractor that is written
//! could make it right.

use syn::{GenericArgument, PathArguments, Type};

use super::handler::Argument;
use super::parse::Path;
use crate::errors::{Errors, did_you_mean, quoted};
use crate::syntax::{is_named, last_segment, plain};

/// As many extractors as axum calls a handler with, and as many values as the runtime's `Named` is
/// implemented for.
const MOST: usize = 16;

/// Sets which arguments are parameters of the path, and reports those that cannot be right.
pub(super) fn assign(path: &Path, arguments: &mut [Argument], errors: &mut Errors) {
    let mut free: Vec<usize> = (0..path.parameters.len()).collect();
    for argument in arguments.iter_mut() {
        if is_extractor(&argument.ty) {
            continue;
        }
        let Some(name) = argument.name() else {
            continue;
        };
        if let Some(at) = free
            .iter()
            .position(|&index| path.parameters[index] == name)
        {
            argument.parameter = Some(free.remove(at));
            refuse_borrowed(argument, errors);
        }
    }
    let free: Vec<&str> = free.iter().map(|&index| &*path.parameters[index]).collect();
    let is_all_known = !arguments.iter().any(could_take);
    let missed = report_misnamed(&free, is_all_known, arguments, path, errors);
    if is_all_known {
        report_untaken(&free, &missed, path, errors);
    }
    for argument in arguments.iter() {
        report_too_small(&argument.ty, path, errors);
    }
    report_too_many(arguments, errors);
}

/// Reports a parameter that borrows. It is made from the request's path, which nothing keeps for the
/// handler to borrow from.
fn refuse_borrowed(argument: &Argument, errors: &mut Errors) {
    if let Type::Reference(reference) = plain(&argument.ty) {
        errors.on(
            reference,
            "an argument from the path owns its value: `String`, not `&str`",
        );
    }
}

/// Returns whether this extractor may read parameters of the path, as far as its type's name tells.
fn could_take(argument: &Argument) -> bool {
    let ty = &argument.ty;
    argument.parameter.is_none() && !is_named(ty, IGNORE_THE_PATH) && !is_value(ty)
}

/// Reports arguments that can only be parameters of the path, which has none of that name. Returns the
/// parameters that were probably meant.
fn report_misnamed<'a>(
    free: &[&'a str],
    is_all_known: bool,
    arguments: &[Argument],
    path: &Path,
    errors: &mut Errors,
) -> Vec<&'a str> {
    let mut meant = Vec::new();
    for argument in arguments.iter().filter(|it| it.parameter.is_none()) {
        let Some(name) = argument.name() else {
            continue;
        };
        // A `String` is the request's body, unless its name is much like that of a parameter which
        // nothing takes.
        let is_value = is_value(&argument.ty);
        let may_be_text = is_all_known && is_named(&argument.ty, &["String"]);
        if !is_value && !may_be_text {
            continue;
        }
        if let Some(like) = did_you_mean(&name, free.iter().copied()) {
            meant.push(like);
            errors.on(
                &argument.pattern,
                format!("the path has no parameter `{name}`, did you mean `{like}`?"),
            );
        } else if is_value {
            errors.on(
                &argument.pattern,
                format!(
                    "the path has no parameter `{name}`{}\n\
                     an argument is a parameter of the path, or an extractor",
                    those_it_has(path)
                ),
            );
        }
    }
    meant
}

/// What follows the message that a path has no parameter of some name.
fn those_it_has(path: &Path) -> String {
    if path.parameters.is_empty() {
        String::new()
    } else {
        format!("\nit has {}", quoted(&path.parameters))
    }
}

/// Reports path parameters that no argument takes.
fn report_untaken(free: &[&str], missed: &[&str], path: &Path, errors: &mut Errors) {
    for name in free {
        // As for a variable, `_` in front says that nothing needs to.
        if !name.starts_with('_') && !missed.contains(name) {
            errors.at(
                path.literal.span(),
                format!(
                    "nothing takes the path parameter `{name}`\n\
                     add an argument `{name}: ..`, or call the parameter `_{name}` if nothing \
                     needs it"
                ),
            );
        }
    }
}

/// Reports a `Path<..>` with room for fewer parameters than the path has.
///
/// More are right: a router that is nested below a path with parameters has those, too.
fn report_too_small(ty: &Type, path: &Path, errors: &mut Errors) {
    let Some(taken) = argument_of(ty, "Path") else {
        return;
    };
    let takes = match plain(taken) {
        // `Path<()>` is there for the check that the path is valid text.
        Type::Tuple(tuple) if tuple.elems.is_empty() => return,
        Type::Tuple(tuple) => tuple.elems.len(),
        ty if is_value(ty) || is_named(ty, &["String"]) => 1,
        // A struct or a map: it takes its parameters by name.
        _ => return,
    };
    let has = path.parameters.len();
    if takes < has {
        errors.on(
            taken,
            format!("the path has {has} parameters, this takes {takes}"),
        );
    }
}

fn report_too_many(arguments: &[Argument], errors: &mut Errors) {
    let (parameters, extractors): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|it| it.parameter.is_some());
    if let Some(first) = parameters.get(MOST) {
        errors.on(
            &first.pattern,
            format!("a handler has at most {MOST} arguments from the path"),
        );
    }
    // All that comes from the path comes from one extractor.
    let room = MOST - usize::from(!parameters.is_empty());
    if let Some(first) = extractors.get(room) {
        errors.on(
            &first.ty,
            format!("a handler has at most {MOST} extractors"),
        );
    }
}

/// Returns whether the type is one of axum's extractors, or one of these in an `Option` or a `Result`:
/// the name of such an argument does not matter.
fn is_extractor(ty: &Type) -> bool {
    // `String` is one only if it is no parameter.
    is_named(ty, READ_THE_PATH)
        || is_named(ty, IGNORE_THE_PATH) && !is_named(ty, &["String"])
        || ["Option", "Result"]
            .iter()
            .any(|wrapper| argument_of(ty, wrapper).is_some_and(is_extractor))
}

/// Extractors that may read the path.
const READ_THE_PATH: &[&str] = &[
    "Path",
    "RawPathParams",
    "MatchedPath",
    "NestedPath",
    "OriginalUri",
    "Uri",
    "Request",
    "Parts",
    "Extension",
    "Extensions",
];

/// Extractors that never read the path.
const IGNORE_THE_PATH: &[&str] = &[
    "State",
    "Json",
    "Form",
    "Query",
    "RawQuery",
    "RawForm",
    "Multipart",
    "HeaderMap",
    "TypedHeader",
    "Method",
    "Version",
    "Bytes",
    "String",
    "Body",
    "ConnectInfo",
    "WebSocketUpgrade",
    "BackgroundTasks",
];

/// Returns whether the type is known to be no extractor.
fn is_value(ty: &Type) -> bool {
    is_named(
        ty,
        &[
            "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
            "f32", "f64", "bool", "char",
        ],
    )
}

/// `T`, if `ty` is `name<T>` or `name<T, ..>`.
fn argument_of<'a>(ty: &'a Type, name: &str) -> Option<&'a Type> {
    let last = last_segment(ty).filter(|last| last.ident == name)?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    }
}
