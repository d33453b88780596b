//! What happens to a task beyond a limit: `reject`, `replace` or `ignore`.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Expr, Path};

use crate::errors::{Errors, did_you_mean, quoted};
use crate::syntax;

const CHOICES: [(&str, &str); 3] = [
    ("reject", "Reject"),
    ("replace", "Replace"),
    ("ignore", "Ignore"),
];

/// Returns the variant of `OnFull`.
pub(super) fn parse(value: &Expr, is_durable: bool, errors: &mut Errors) -> Option<Ident> {
    let word = syntax::path(value).and_then(Path::get_ident);
    let chosen = word.and_then(|word| CHOICES.iter().find(|(name, _)| word == name));
    if let Some(("replace", _)) = chosen.filter(|_| is_durable) {
        errors.on(
            value,
            "what is stored is not replaced, because another process may run it already\n\
             a durable task has `on_full = reject` or `on_full = ignore`",
        );
        return None;
    }
    if let Some((_, variant)) = chosen {
        return Some(format_ident!("{variant}"));
    }
    let names = CHOICES.map(|(name, _)| name);
    let choices = format!("`on_full` is one of {}", quoted(names));
    let word = word.map(ToString::to_string).unwrap_or_default();
    let message = match did_you_mean(&word, names) {
        Some(meant) => format!("unknown choice `{word}`, did you mean `{meant}`?\n{choices}"),
        None if syntax::text(value).is_some() => format!("{choices}, without quotes"),
        None => choices,
    };
    errors.on(value, message);
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<String, String> {
        let value = syn::parse_str(value).expect("an expression");
        let (variant, errors) = Errors::collect(|errors| parse(&value, false, errors));
        variant
            .map(|variant| variant.to_string())
            .ok_or_else(|| errors.to_string())
    }

    #[test]
    fn a_choice_is_one_of_three_words() {
        for (word, variant) in CHOICES {
            assert_eq!(read(word).as_deref(), Ok(variant));
        }
    }

    #[test]
    fn the_message_for_a_wrong_choice_names_the_right_ones() {
        for (value, reason) in [
            ("replac", "unknown choice `replac`, did you mean `replace`?"),
            ("Reject", "did you mean `reject`?"),
            ("drop", "`on_full` is one of `reject`, `replace`, `ignore`"),
            ("\"replace\"", "without quotes"),
            ("OnFull::Replace", "is one of"),
            ("3", "is one of"),
        ] {
            let message = read(value).expect_err(value);
            assert!(message.contains(reason), "{value}: {message}");
        }
    }
}
