//! Numbers as settings: `3`, or a constant whose type and value rustc checks.

use proc_macro2::Ident;
use syn::{Expr, ExprLit, ExprUnary, Lit, LitInt, UnOp};

use crate::errors::Errors;

/// How many times a task runs again: a `u32`.
pub(super) fn retries(word: &Ident, value: Expr, errors: &mut Errors) -> Option<Expr> {
    let Some(literal) = literal(word, &value, errors)? else {
        return Some(value);
    };
    if literal.base10_parse::<u32>().is_err() {
        errors.on(literal, format!("`{word}` is at most {}", u32::MAX));
        return None;
    }
    Some(value)
}

/// How many tasks may run, or wait: a `usize`. `zero` says what a limit of zero does.
pub(super) fn limit(word: &Ident, value: Expr, zero: &str, errors: &mut Errors) -> Option<Expr> {
    let Some(literal) = literal(word, &value, errors)? else {
        return Some(value);
    };
    match literal.base10_parse::<u64>() {
        Ok(0) => {
            errors.on(
                literal,
                format!("{zero}\nleave out `{word}` for no limit, or write one or more"),
            );
            None
        }
        Ok(_) => Some(value),
        Err(_) => {
            errors.on(
                literal,
                format!("this is more than can be counted\nleave out `{word}` for no limit"),
            );
            None
        }
    }
}

/// Returns the literal if the value is a whole number, and `Some(None)` if it may be a constant.
/// Reports a literal of another kind.
fn literal<'a>(word: &Ident, value: &'a Expr, errors: &mut Errors) -> Option<Option<&'a LitInt>> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(literal),
            ..
        }) => Some(Some(literal)),
        Expr::Lit(_) => {
            errors.on(
                value,
                format!("`{word}` is a whole number: `{word} = 3`, or a constant"),
            );
            None
        }
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) if matches!(**expr, Expr::Lit(_)) => {
            errors.on(value, format!("`{word}` cannot be less than zero"));
            None
        }
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    type Read = fn(&Ident, Expr, &mut Errors) -> Option<Expr>;

    const RETRIES: Read = retries;
    const LIMIT: Read = |word, value, errors| limit(word, value, "nothing runs", errors);

    /// What is wrong with `setting = value`. Empty if there is a value to use.
    fn mistake(read: Read, value: &str) -> String {
        let word = Ident::new("setting", Span::call_site());
        let value = syn::parse_str(value).expect("an expression");
        let (value, errors) = Errors::collect(|errors| read(&word, value, errors));
        assert_eq!(value.is_some(), errors.is_empty());
        errors.to_string()
    }

    #[test]
    fn a_limit_is_a_whole_number_or_a_constant() {
        for value in [
            "1",
            "1_000",
            "0xff",
            "4294967295",
            "3u32",
            "LIMIT",
            "a::f(1) + 2",
            "-LIMIT",
        ] {
            assert_eq!(mistake(RETRIES, value), "", "{value}");
            assert_eq!(mistake(LIMIT, value), "", "{value}");
        }
        assert_eq!(mistake(RETRIES, "0"), "");
        assert_eq!(mistake(LIMIT, "18446744073709551615"), "");
    }

    #[test]
    fn the_message_for_a_wrong_number_says_what_to_write() {
        for (value, reason) in [
            ("\"3\"", "`setting` is a whole number: `setting = 3`"),
            ("3.0", "`setting` is a whole number"),
            ("true", "`setting` is a whole number"),
            ("'3'", "`setting` is a whole number"),
            ("-1", "`setting` cannot be less than zero"),
            ("-1.5", "`setting` cannot be less than zero"),
        ] {
            for read in [RETRIES, LIMIT] {
                let mistake = mistake(read, value);
                assert!(mistake.contains(reason), "{value}: {mistake}");
            }
        }
        assert!(mistake(RETRIES, "4294967296").contains("at most 4294967295"));
        assert!(mistake(LIMIT, "0").contains("nothing runs"));
        assert!(mistake(LIMIT, "0x0_usize").contains("leave out `setting`"));
        assert!(mistake(LIMIT, "18446744073709551616").contains("more than can be counted"));
    }
}
