//! Tokens as people write them: `Vec<u8>`, where `to_string` may say `Vec < u8 >`.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;

/// The text of a type or a path, much as it is in the source.
pub(crate) fn source_text(tokens: impl ToTokens) -> String {
    let mut text = String::new();
    write(tokens.into_token_stream(), &mut text);
    text
}

fn write(tokens: TokenStream, text: &mut String) {
    for tree in tokens {
        let TokenTree::Group(group) = tree else {
            push(&tree.to_string(), text);
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace => ("{", "}"),
            Delimiter::None => ("", ""),
        };
        push(open, text);
        write(group.stream(), text);
        text.push_str(close);
    }
}

fn push(token: &str, text: &mut String) {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let after_operator = text.ends_with([',', ';', '+', '=']) || text.ends_with("->");
    let is_operator = matches!(token, "+" | "=" | "-");
    let ends_word = text.ends_with(|c| is_word(c) || c == '>') && token.starts_with(is_word);
    let is_spaced = after_operator || is_operator || ends_word;
    if is_spaced && !token.is_empty() && !text.is_empty() {
        text.push(' ');
    }
    text.push_str(token);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_paths_read_as_written() {
        for written in [
            "String",
            "::std::vec::Vec<u8>",
            "&str",
            "&'static str",
            "Option<(u8, String)>",
            "[u8; 4]",
            "&[u8]",
            "Box<dyn Fn(&str) -> u8 + Send>",
            "fn(u8, u8) -> Vec<u8>",
            "<Vec<u8> as IntoIterator>::Item",
            "Box<dyn for<'a> Fn(&'a u8)>",
            "Box<dyn Iterator<Item = u8>>",
        ] {
            let tokens: TokenStream = written.parse().expect("tokens");
            assert_eq!(source_text(tokens), written);
        }
    }
}
