//! All mistakes of an item, reported together, each on the token it is about.

use std::fmt::Display;

use proc_macro2::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;

#[cfg(test)]
use crate::syntax::mentions;

/// Collects the mistakes found in one item.
///
/// One exists only inside [`Errors::collect`], which hands out what was collected together with the
/// result: there is no way to find a mistake and then forget to report it.
pub(crate) struct Errors {
    found: Option<syn::Error>,
}

impl Errors {
    /// Runs `work`, and returns its result with the `compile_error!`s it collected: no tokens if
    /// all was well.
    pub(crate) fn collect<T>(work: impl FnOnce(&mut Self) -> T) -> (T, TokenStream) {
        let mut errors = Self { found: None };
        let result = work(&mut errors);
        (
            result,
            errors
                .found
                .map(syn::Error::into_compile_error)
                .unwrap_or_default(),
        )
    }

    /// Reports a mistake on all of `tokens`.
    pub(crate) fn on(&mut self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Reports a mistake at `span`.
    pub(crate) fn at(&mut self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Reports a mistake that syn found.
    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.found {
            Some(found) => found.combine(error),
            none => *none = Some(error),
        }
    }

    /// Returns the value, or reports the error.
    pub(crate) fn ok<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }
}

/// Returns the tokens, all of them at `span`.
///
/// rustc points at the expression that an error is about, and shows the attribute instead if only
/// one token of that expression is the attribute's own. `quote_spanned!` leaves interpolated tokens
/// where they were, hence this.
pub(crate) fn at(span: Span, tokens: impl ToTokens) -> TokenStream {
    tokens
        .into_token_stream()
        .into_iter()
        .map(|mut tree| {
            if let TokenTree::Group(group) = &tree {
                let inner = at(span, group.stream());
                tree = Group::new(group.delimiter(), inner).into();
            }
            tree.set_span(span);
            tree
        })
        .collect()
}

/// Returns the tokens, the first where `place` begins and the last where it ends.
///
/// rustc takes an expression to reach from its first token to its last. The ones between stay where
/// they are: an editor takes each name at a place of the user's for one more thing to go to.
pub(crate) fn across(place: impl ToTokens, tokens: impl ToTokens) -> TokenStream {
    let mut place = place.into_token_stream().into_iter();
    let mut tokens: Vec<_> = tokens.into_token_stream().into_iter().collect();
    let Some(first) = place.next() else {
        return tokens.into_iter().collect();
    };
    let end = place.last().map_or(first.span(), |last| last.span());
    for tree in &mut tokens {
        tree.set_span(first.span());
        // `::` is one token to rustc and two here, `:` and `:`.
        if !matches!(tree, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint) {
            break;
        }
    }
    if let Some(tree) = tokens.last_mut() {
        tree.set_span(end);
    }
    tokens.into_iter().collect()
}

/// `tokens`, wherever they are, between delimiters at `span`: for a call or a block that an error
/// message may be about, while what is in it is not.
pub(crate) fn delimited(delimiter: Delimiter, span: Span, tokens: TokenStream) -> Group {
    let mut group = Group::new(delimiter, tokens);
    group.set_span(span);
    group
}

/// The names as a message lists them.
pub(crate) fn quoted(names: impl IntoIterator<Item = impl Display>) -> String {
    let names = names.into_iter().map(|name| format!("`{name}`"));
    names.collect::<Vec<_>>().join(", ")
}

/// The message for a `word` that is none of the `known` ones. `kind` says what they are.
pub(crate) fn unknown<'a>(
    kind: &str,
    word: &Ident,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> String {
    let mut message = format!("unknown {kind} `{word}`");
    if let Some(meant) = did_you_mean(&word.to_string(), known.clone()) {
        message += &format!(", did you mean `{meant}`?");
    }
    message + &format!("\nthe {kind}s are {}", quoted(known))
}

/// Returns the candidate that `word` is most likely a misspelling of, if there is one.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // One slip in five letters, and three in any word: beyond that a guess is noise.
    let allowed = word.chars().count().div_ceil(5).min(3);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The number of letters to add, remove, replace or swap with their neighbour to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    // `table[i][j]` is the distance between the first `i` letters of `a` and the first `j` of `b`:
    // `i + j` where one of them is zero, and to be filled in where none is.
    let mut table: Vec<Vec<usize>> = (0..=a.len())
        .map(|i| (0..=b.len()).map(|j| i + j).collect())
        .collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(table[i - 2][j - 2] + 1);
            }
            table[i][j] = best;
        }
    }
    table[a.len()][b.len()]
}

/// Returns whether an expansion reports a mistake.
#[cfg(test)]
pub(crate) fn is_error(expansion: &TokenStream) -> bool {
    mentions(expansion.clone(), "compile_error")
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    #[test]
    fn without_a_mistake_there_is_no_compile_error() {
        let (value, errors) = Errors::collect(|_| 7);
        assert_eq!(value, 7);
        assert!(errors.is_empty());
    }

    #[test]
    fn every_mistake_that_is_found_is_reported() {
        let ((), errors) = Errors::collect(|errors| {
            errors.on(quote!(a b), "first");
            errors.at(Span::call_site(), "second");
            let none: Option<Ident> = errors.ok(syn::parse_str("1"));
            assert!(none.is_none());
        });
        let errors = errors.to_string();
        assert!(errors.contains("first") && errors.contains("second"));
        assert!(errors.contains("expected identifier"));
    }

    #[test]
    fn a_misspelled_word_is_guessed() {
        let keys = ["name", "timeout", "on_error", "crate"];
        assert_eq!(did_you_mean("timeut", keys), Some("timeout"));
        assert_eq!(did_you_mean("tiemout", keys), Some("timeout"));
        assert_eq!(did_you_mean("onerror", keys), Some("on_error"));
        assert_eq!(did_you_mean("Name", keys), Some("name"));
        assert_eq!(did_you_mean("nam", keys), Some("name"));
    }

    #[test]
    fn no_guess_is_made_for_a_word_unlike_all_known_ones() {
        let keys = ["name", "timeout", "on_error", "crate"];
        assert_eq!(did_you_mean("retries", keys), None);
        assert_eq!(did_you_mean("x", keys), None);
        assert_eq!(did_you_mean("", keys), None);
    }
}
