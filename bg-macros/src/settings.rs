//! Reads `key = value, flag, ..`: what stands between the parentheses of every attribute here.
//!
//! A mistake in one setting is one error, and the others are still read.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::{Expr, Token, token};

use crate::errors::{Errors, unknown};
use crate::syntax::ungrouped;

/// A setting that an attribute knows.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    /// The documentation that an editor shows.
    pub(crate) docs: &'static str,
}

/// How a setting is written, each with what stands behind its name as one might write it.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    /// `name`
    Flag,
    /// `name = value`
    Value(&'static str),
    /// `name`, or `name = value`
    FlagOrValue(&'static str),
    /// `name(key = value, ..)`
    Group(&'static str),
}

impl Key {
    /// How to write it.
    pub(crate) fn usage(&self) -> String {
        let name = self.name;
        match self.form {
            Form::Flag => format!("`{name}`"),
            Form::Value(example) => format!("`{name} = {example}`"),
            Form::FlagOrValue(example) => format!("`{name}` or `{name} = {example}`"),
            Form::Group(example) => format!("`{name}({example})`"),
        }
    }
}

/// The settings that were given, each known to its attribute, given once and of the right form.
#[derive(Default)]
pub(crate) struct Settings {
    given: Vec<(Ident, Option<Expr>)>,
    groups: Vec<(Ident, Group)>,
    words: Vec<Ident>,
}

impl Settings {
    /// Reads all of `tokens`, which may be anything.
    pub(crate) fn parse(tokens: TokenStream, known: &[Key], errors: &mut Errors) -> Self {
        let parser = |input: ParseStream<'_>| Ok(Self::read(input, known, errors));
        let read = parser.parse2(tokens);
        // `read` does not fail, but may end in the middle of an invisible group.
        errors.ok(read).unwrap_or_default()
    }

    /// Reads the rest of `input`, which may be anything.
    pub(crate) fn read(input: ParseStream<'_>, known: &[Key], errors: &mut Errors) -> Self {
        let mut settings = Self {
            given: Vec::new(),
            groups: Vec::new(),
            words: Vec::new(),
        };
        while !input.is_empty() {
            match settings.read_one(input, known, errors) {
                Ok(()) if input.is_empty() || input.peek(Token![,]) => {}
                Ok(()) => errors.push(input.error("expected `,`")),
                Err(error) => errors.push(error),
            }
            skip_past_comma(input);
        }
        settings
    }

    fn read_one(
        &mut self,
        input: ParseStream<'_>,
        known: &[Key],
        errors: &mut Errors,
    ) -> syn::Result<()> {
        // Keywords as well, for `crate`.
        let word = input
            .call(Ident::parse_any)
            .map_err(|error| syn::Error::new(error.span(), expected(known)))?;
        self.words.push(word.clone());
        let key = known.iter().find(|key| word == key.name);
        match key {
            None => {
                let names = known.iter().map(|key| key.name);
                errors.at(word.span(), unknown("setting", &word, names));
            }
            Some(Key {
                form: Form::Group(_),
                ..
            }) if input.peek(token::Paren) => {
                let group = input.parse()?;
                if self.groups.iter().any(|(earlier, _)| *earlier == word) {
                    errors.at(word.span(), format!("`{word}` is set twice"));
                } else {
                    self.groups.push((word, group));
                }
                return Ok(());
            }
            Some(key) if input.peek(token::Paren) => {
                errors.at(word.span(), format!("write {}", key.usage()));
            }
            Some(_) => {}
        }
        if input.peek(token::Paren) {
            input.parse::<TokenTree>()?;
            return Ok(());
        }
        let equals: Option<Token![=]> = input.parse()?;
        let value: Option<Expr> = if equals.is_some() && !input.is_empty() && !input.peek(Token![,])
        {
            Some(ungrouped(input.parse()?))
        } else {
            None
        };
        if let Some(key) = key {
            self.keep(key, word, equals, value, errors);
        }
        Ok(())
    }

    fn keep(
        &mut self,
        key: &Key,
        word: Ident,
        equals: Option<Token![=]>,
        value: Option<Expr>,
        errors: &mut Errors,
    ) {
        let usage = key.usage();
        let needs_value = match key.form {
            Form::Value(_) => true,
            Form::FlagOrValue(_) => equals.is_some(),
            Form::Flag | Form::Group(_) => false,
        };
        if matches!(key.form, Form::Group(_)) {
            errors.on(quote!(#word #equals #value), format!("write {usage}"));
        } else if needs_value && value.is_none() {
            errors.at(word.span(), format!("`{word}` needs a value: {usage}"));
        } else if let (Form::Flag, Some(equals)) = (key.form, equals) {
            errors.on(
                quote!(#equals #value),
                format!("`{word}` takes no value: write {usage} alone"),
            );
        } else if self.given.iter().any(|(earlier, _)| *earlier == word) {
            errors.at(word.span(), format!("`{word}` is set twice"));
        } else {
            self.given.push((word, value));
        }
    }

    /// The value of the setting `name`, if it was given.
    pub(crate) fn value(&mut self, name: &str) -> Option<Expr> {
        self.entry(name, |_, value| Some(value))
            .map(|(_, value)| value)
    }

    /// What `read` makes of the value of the setting `name`, with the identifier of the setting: an
    /// error about the value is reported there.
    pub(crate) fn entry<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Ident, Expr) -> Option<T>,
    ) -> Option<(Ident, T)> {
        let (word, value) = self.given.iter_mut().find(|(word, _)| word == name)?;
        let value = read(word, value.take()?)?;
        Some((word.clone(), value))
    }

    /// The place of the flag `name`. `None` if it was not given.
    pub(crate) fn flag(&self, name: &str) -> Option<Span> {
        self.given
            .iter()
            .find(|(word, _)| word == name)
            .map(|(word, _)| word.span())
    }

    /// The group `name(..)`. `None` if it was not given.
    pub(crate) fn group(&self, name: &str) -> Option<&(Ident, Group)> {
        self.groups.iter().find(|(word, _)| word == name)
    }

    /// Every word in the place of a setting's name, unknown and half-typed ones included.
    pub(crate) fn words(&self) -> &[Ident] {
        &self.words
    }
}

/// Skips to behind the next comma, or to the end.
pub(crate) fn skip_past_comma(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        // A token tree is all that can come next, so this cannot fail and the loop comes to an end.
        let _: syn::Result<TokenTree> = input.parse();
    }
    let _: syn::Result<Option<Token![,]>> = input.parse();
}

fn expected(known: &[Key]) -> String {
    let usages: Vec<_> = known.iter().map(Key::usage).collect();
    format!("expected a setting\nthe settings are {}", usages.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::ToTokens as _;

    const KNOWN: &[Key] = &[
        Key {
            name: "timeout",
            form: Form::Value("\"30s\""),
            docs: "",
        },
        Key {
            name: "crate",
            form: Form::Value("::bg_runtime"),
            docs: "",
        },
        Key {
            name: "detach",
            form: Form::Flag,
            docs: "",
        },
        Key {
            name: "unique",
            form: Form::FlagOrValue("[id]"),
            docs: "",
        },
        Key {
            name: "each",
            form: Form::Group("rate = 1"),
            docs: "",
        },
    ];

    fn read(tokens: TokenStream) -> (Settings, String) {
        let (settings, errors) = Errors::collect(|errors| Settings::parse(tokens, KNOWN, errors));
        (settings, errors.to_string())
    }

    fn value(settings: &mut Settings, name: &str) -> Option<String> {
        let value = settings.value(name)?;
        Some(value.to_token_stream().to_string())
    }

    #[test]
    fn values_flags_and_keywords_are_read() {
        let (mut settings, errors) = read(quote!(timeout = f::<A, B>(), detach, crate = ::a::b,));
        assert_eq!(errors, "");
        assert_eq!(
            value(&mut settings, "timeout").as_deref(),
            Some("f :: < A , B > ()")
        );
        assert_eq!(value(&mut settings, "crate").as_deref(), Some(":: a :: b"));
        assert!(settings.flag("detach").is_some());
        assert!(settings.flag("timeout").is_some() && settings.flag("other").is_none());
    }

    #[test]
    fn one_mistake_does_not_hide_the_next_setting() {
        let (mut settings, errors) =
            read(quote!(timeut = 1, = 3, timeout = "1s", timeout = "2s", detach = true, crate));
        for expected in [
            "unknown setting `timeut`, did you mean `timeout`?",
            "expected a setting",
            "`timeout` is set twice",
            "`detach` takes no value: write `detach` alone",
            "`crate` needs a value: `crate = ::bg_runtime`",
        ] {
            assert!(errors.contains(expected), "{expected} not in {errors}");
        }
        assert_eq!(value(&mut settings, "timeout").as_deref(), Some("\"1s\""));
        assert_eq!(settings.words().len(), 5);
    }

    #[test]
    fn forms_that_other_attributes_have_are_refused() {
        let (_, errors) = read(quote!(timeout("1s"), detach "x", timeout =, crate = 1 2, other(3)));
        assert_eq!(errors.matches("compile_error").count(), 5, "{errors}");
        assert!(errors.contains("write `timeout = \\\"30s\\\"`"), "{errors}");
    }

    #[test]
    fn a_group_and_a_flag_with_a_value_are_read() {
        let (mut settings, errors) = read(quote!(each(a = 1, b), unique = [a], timeout = "1s"));
        assert_eq!(errors, "");
        let (word, group) = settings.group("each").expect("the group");
        assert!(word == "each" && group.stream().to_string() == "a = 1 , b");
        assert_eq!(value(&mut settings, "unique").as_deref(), Some("[a]"));
        assert_eq!(
            settings.words().len(),
            3,
            "those of the group are not its own"
        );

        let (mut settings, errors) = read(quote!(unique));
        assert!(errors.is_empty() && settings.flag("unique").is_some());
        assert_eq!(value(&mut settings, "unique"), None);

        let (_, errors) = read(quote!(each, each = 1, unique =, unique(a), each(), each()));
        for (expected, times) in [
            ("write `each(rate = 1)`", 2),
            ("`unique` needs a value: `unique` or `unique = [id]`", 1),
            ("write `unique` or `unique = [id]`", 1),
            ("`each` is set twice", 1),
        ] {
            assert_eq!(errors.matches(expected).count(), times, "{errors}");
        }
    }

    #[test]
    fn settings_of_any_tokens_are_read_to_their_end() {
        for tokens in [
            quote!(,,,),
            quote!(= = =),
            quote!({} [] ()),
            quote!(timeout = = , 'a 'b "c" 1.0),
            quote!(timeout == 3),
        ] {
            let (_, errors) = read(tokens);
            assert!(!errors.is_empty());
        }
    }
}
