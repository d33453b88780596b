//! The attributes and `routes!` over tokens that no one would write: arbitrary ones, and right ones
//! with a few dropped, doubled, swapped or taken from elsewhere.

use proc_macro2::{Delimiter, Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use quote::quote;
use syn::parse::{ParseStream, Parser as _};
use syn::punctuated::Punctuated;
use syn::{Expr, File, Item, ItemFn, LitStr, Meta, Token};

use crate::errors::is_error;
use crate::function::Function;
use crate::route::{self, Methods};
use crate::{routes, task};

/// The words that the parsers look for, and words with a meaning in Rust.
const WORDS: &[&str] = &[
    "name",
    "timeout",
    "retries",
    "backoff",
    "key",
    "max_per_key",
    "max_pending_per_key",
    "max_unfinished_per_key",
    "max_concurrent",
    "on_full",
    "replace",
    "rate",
    "expires",
    "on_error",
    "durable",
    "queue",
    "unique",
    "was",
    "per_process",
    "stored_in_clear",
    "background",
    "detach",
    "methods",
    "GET",
    "POST",
    "state",
    "context",
    "secret",
    "default",
    "cfg",
    "cfg_attr",
    "doc",
    "crate",
    "self",
    "Self",
    "super",
    "_",
    "async",
    "fn",
    "pub",
    "impl",
    "dyn",
    "for",
    "where",
    "mut",
    "ref",
    "const",
    "unsafe",
    "extern",
    "let",
    "match",
    "if",
    "move",
    "struct",
    "String",
    "str",
    "u8",
    "Option",
    "id",
    "f",
    "F",
    "__arg0",
    "ñ",
];

const LITERALS: &[&str] = &[
    "\"\"",
    "\"/\"",
    "\"/{id}/{*rest}\"",
    "\"/{\"",
    "\"/{id}x{\"",
    "\"30s\"",
    "\"1s..1m\"",
    "\"10/s\"",
    "\"..\"",
    "\"1h 30m\"",
    "\"18446744073709551616s\"",
    "\"é\\n\"",
    "r#\"/\"#",
    "b\"/\"",
    "c\"x\"",
    "'x'",
    "b'x'",
    "0",
    "1",
    "3",
    "1.5",
    "1e9",
    "0x10",
    "1s",
    "1u8",
    "4294967296",
    "99999999999999999999999999999999999999999",
];

const PUNCTUATION: &str = "=,.:;#&*<>+-!?|@^%/$~";

fn word() -> impl Strategy<Value = TokenTree> {
    let ident = |word: String| Ident::new(&word, Span::call_site()).into();
    let raw = |word: String| Ident::new_raw(&word, Span::call_site()).into();
    prop_oneof![
        8 => select(WORDS).prop_map(move |word| ident(word.to_owned())),
        2 => "[a-zA-Z_][a-z0-9_]{1,6}".prop_map(ident),
        1 => "(fn|type|x|state|name)".prop_map(raw),
    ]
}

fn punctuation() -> impl Strategy<Value = TokenTree> {
    let characters: Vec<char> = PUNCTUATION.chars().collect();
    (select(characters), any::<bool>()).prop_map(|(character, joint)| {
        let spacing = if joint {
            Spacing::Joint
        } else {
            Spacing::Alone
        };
        Punct::new(character, spacing).into()
    })
}

fn literal() -> impl Strategy<Value = TokenTree> {
    prop_oneof![
        3 => select(LITERALS).prop_map(|text| text.parse::<Literal>().expect("a literal").into()),
        1 => any::<String>().prop_map(|text| Literal::string(&text).into()),
    ]
}

/// Several tokens that are read as one thing: `#[..]`, `::`, `'a`, `x: u8`, `key = 1`.
fn phrase() -> impl Strategy<Value = TokenStream> {
    select(vec![
        quote!(::),
        quote!(->),
        quote!('a),
        quote!(x: u8),
        quote!(id: u64,),
        quote!(#[state]),
        quote!(#[default = 1]),
        quote!(#[cfg_attr(a, b)]),
        quote!(
            async fn f() {}
        ),
        quote!(key = x,),
        quote!(durable, name = "a.b",),
        quote!(#[was("y")]),
        quote!(#[secret(stored_in_clear)]),
        quote!(per_process(rate = "1/s"),),
        quote!(timeout = "1s",),
        quote!(<A as B>::C),
        quote!(|x| x),
    ])
}

fn delimiter() -> impl Strategy<Value = Delimiter> {
    select(vec![
        Delimiter::Parenthesis,
        Delimiter::Bracket,
        Delimiter::Brace,
        Delimiter::None,
    ])
}

/// Any tokens, in groups within groups.
fn tokens() -> impl Strategy<Value = TokenStream> {
    let one = prop_oneof![
        4 => word().prop_map(TokenStream::from),
        4 => punctuation().prop_map(TokenStream::from),
        2 => literal().prop_map(TokenStream::from),
        3 => phrase(),
    ];
    let trees = one.prop_recursive(4, 40, 8, |inner| {
        (delimiter(), vec(inner, 0..8)).prop_map(|(delimiter, inner)| {
            TokenTree::from(Group::new(delimiter, inner.into_iter().collect())).into()
        })
    });
    vec(trees, 0..10).prop_map(|trees| trees.into_iter().collect())
}

/// One change of a token stream.
#[derive(Debug, Clone)]
enum Change {
    Drop(Index),
    Double(Index),
    Swap(Index, Index),
    Replace(Index, TokenStream),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    let change = prop_oneof![
        at().prop_map(Change::Drop),
        at().prop_map(Change::Double),
        (at(), at()).prop_map(|(one, other)| Change::Swap(one, other)),
        (at(), tokens()).prop_map(|(at, tokens)| Change::Replace(at, tokens)),
    ];
    vec(change, 1..5)
}

/// Every token, those in a group behind the group itself.
fn flat(tokens: &TokenStream) -> Vec<TokenTree> {
    let mut all = Vec::new();
    for tree in tokens.clone() {
        all.push(tree.clone());
        if let TokenTree::Group(group) = tree {
            all.extend(flat(&group.stream()));
        }
    }
    all
}

/// Replaces tokens: `instead` is asked for each, by its index in what [`flat`] gives.
fn mapped(
    tokens: TokenStream,
    place: &mut usize,
    instead: &impl Fn(usize) -> Option<TokenStream>,
) -> TokenStream {
    let mut mapped_tokens = TokenStream::new();
    for tree in tokens {
        let found = instead(*place);
        *place += 1;
        let inner = match &tree {
            TokenTree::Group(group) => {
                let inner = mapped(group.stream(), place, instead);
                TokenTree::from(Group::new(group.delimiter(), inner))
            }
            _ => tree,
        };
        mapped_tokens.extend(found.unwrap_or_else(|| inner.into()));
    }
    mapped_tokens
}

fn changed(tokens: TokenStream, changes: &[Change]) -> TokenStream {
    changes.iter().fold(tokens, |tokens, change| {
        let all = flat(&tokens);
        if all.is_empty() {
            return tokens;
        }
        let token = |at: &Index| TokenStream::from(all[at.index(all.len())].clone());
        let place = |at: &Index| at.index(all.len());
        let is = |at: &Index, here: usize| place(at) == here;
        mapped(tokens.clone(), &mut 0, &|here| match change {
            Change::Drop(at) => is(at, here).then(TokenStream::new),
            Change::Double(at) => {
                is(at, here).then(|| [token(at), token(at)].into_iter().collect())
            }
            Change::Swap(one, other) if is(one, here) => Some(token(other)),
            Change::Swap(one, other) => is(other, here).then(|| token(one)),
            Change::Replace(at, tokens) => is(at, here).then(|| tokens.clone()),
        })
    })
}

/// Right arguments, with a function that they are right for.
fn right_tasks() -> impl Strategy<Value = (TokenStream, TokenStream)> {
    select(vec![
        (
            quote!(
                name = "emails.send",
                timeout = "1m 30s",
                on_error = report,
                crate = ::tasks
            ),
            quote! {
                /// Sends one email.
                #[cfg_attr(unix, doc = "On Unix.")]
                pub(crate) async fn send_email(
                    to: String,
                    subject: &str,
                    #[default = 1] priority: u8,
                    #[secret] code: Code<'static>,
                    #[state] mailer: Mailer,
                    #[context] cx: &TaskContext,
                ) -> Result<(), MailError> {
                    mailer.send(to, subject, priority, code, cx).await
                }
            },
        ),
        (
            quote!(
                retries = 3,
                backoff = "1s..1m",
                max_concurrent = 4,
                key = user,
                max_per_key = 1,
                max_pending_per_key = LIMIT
            ),
            quote! {
                fn fetch(user: &str, feeds: &[Feed], r#type: Option<Vec<u8>>) -> () {}
            },
        ),
        (
            quote!(
                durable,
                name = "videos.cut",
                was = ["videos.slice"],
                queue = "slow",
                unique = [video],
                key = video,
                per_process(rate = "10/s", max_per_key = 1)
            ),
            quote! {
                async fn cut(
                    #[was("id")] video: u64,
                    #[secret] token: String,
                    #[secret(stored_in_clear)] hint: &str,
                    #[default = 1] r#type: u8,
                ) {
                }
            },
        ),
        (
            quote!(),
            quote!(
                fn tick() {}
            ),
        ),
    ])
}

/// Right arguments, with a handler that they are right for.
fn right_routes() -> impl Strategy<Value = (TokenStream, TokenStream)> {
    select(vec![
        (
            quote!(
                "/register/{source}",
                background = [
                    SendEmail::new(&user.email, source),
                    #[cfg(unix)]
                    Count
                ],
                detach,
                crate = ::tasks
            ),
            quote! {
                /// Registers.
                pub async fn register(
                    source: u8,
                    Extension(&limit): Extension<&u64>,
                    Json(mut user): Json<NewUser>,
                ) -> Result<Json<NewUser>, StatusCode> {
                    Ok(Json(user))
                }
            },
        ),
        (
            quote!("/{a}/x-{b}/{*rest}", methods = [GET, POST]),
            quote!(
                async fn parts(a: u8, b: String, rest: String, State(s): State<S>) {}
            ),
        ),
        (
            quote!("/"),
            quote!(
                async fn index() -> &'static str {
                    "ok"
                }
            ),
        ),
    ])
}

fn right_mounts() -> impl Strategy<Value = TokenStream> {
    select(vec![
        quote!(
            list,
            #[cfg(unix)]
            users::create,
            self::users::read,
        ),
        quote!(crate = ::tasks, list, crate::users::create),
    ])
}

fn methods() -> impl Strategy<Value = Methods> {
    select(vec![Methods::One("get"), Methods::Listed])
}

impl std::fmt::Debug for Methods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::One(name) => name,
            Self::Listed => "route",
        })
    }
}

/// Checks what holds for every expansion of an attribute: a function comes back as the first of some
/// items, and there is an error for an item that is no function, and for tokens that are no settings.
fn holds(item: TokenStream, is_set: bool, expansion: &TokenStream) -> Result<(), TestCaseError> {
    let is_error = is_error(expansion);
    prop_assert!(
        is_set || is_error,
        "settings of no form, and no error: {}",
        expansion
    );
    let Ok(function) = syn::parse2::<ItemFn>(item.clone()) else {
        // It may be a function except for its body, where rustc finds the mistake.
        let is_for_rustc = syn::parse2::<Function>(item).is_ok_and(|function| {
            let (expansion, body) = (expansion.to_string(), function.body.to_string());
            expansion.contains(&format!("fn {}", function.sig.ident)) && expansion.contains(&body)
        });
        prop_assert!(
            is_for_rustc || is_error,
            "no function, and no error: {}",
            expansion
        );
        return Ok(());
    };
    let items = syn::parse2::<File>(expansion.clone())
        .map_err(|error| TestCaseError::fail(format!("{error}: {expansion}")))?
        .items;
    let name = &function.sig.ident;
    let is_there = matches!(items.first(), Some(Item::Fn(first)) if first.sig.ident == *name);
    prop_assert!(is_there, "`{}` is not there: {}", name, expansion);
    Ok(())
}

fn task_holds(args: TokenStream, item: TokenStream) -> Result<(), TestCaseError> {
    let is_set = Settings::parse_terminated.parse2(args.clone()).is_ok();
    holds(item.clone(), is_set, &task::expand(args, item))
}

fn route_holds(
    methods: Methods,
    args: TokenStream,
    item: TokenStream,
) -> Result<(), TestCaseError> {
    let path_and_settings = |input: ParseStream<'_>| {
        input.parse::<LitStr>()?;
        if !input.is_empty() {
            input.parse::<Token![,]>()?;
        }
        Settings::parse_terminated(input)
    };
    let is_set = path_and_settings.parse2(args.clone()).is_ok();
    holds(item.clone(), is_set, &route::expand(methods, args, item))
}

fn router_holds(input: TokenStream) -> Result<(), TestCaseError> {
    let expansion = routes::expand(input);
    let is_expression = syn::parse2::<Expr>(expansion.clone()).is_ok();
    prop_assert!(is_expression, "{}", expansion);
    Ok(())
}

/// The form of settings, whichever names and values they have.
type Settings = Punctuated<Meta, Token![,]>;

/// Some seconds, or as many cases as `PROPTEST_CASES` says, if that is more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(1000),
        // A failure is shown with its tokens, which become a test of their own.
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_task_of_any_tokens_is_an_item_or_an_error(
        args in tokens(),
        item in prop_oneof![tokens(), right_tasks().prop_map(|(_, item)| item)],
    ) {
        task_holds(args, item)?;
    }

    #[test]
    fn a_task_with_a_few_tokens_astray_is_an_item_or_an_error(
        (args, item) in right_tasks(),
        to_args in changes(),
        to_item in changes(),
        which in 0..3,
    ) {
        let args = if which == 0 { args } else { changed(args, &to_args) };
        let item = if which == 1 { item } else { changed(item, &to_item) };
        task_holds(args, item)?;
    }

    #[test]
    fn a_route_of_any_tokens_is_an_item_or_an_error(
        methods in methods(),
        args in tokens(),
        item in prop_oneof![tokens(), right_routes().prop_map(|(_, item)| item)],
    ) {
        route_holds(methods, args, item)?;
    }

    #[test]
    fn a_route_with_a_few_tokens_astray_is_an_item_or_an_error(
        methods in methods(),
        (args, item) in right_routes(),
        to_args in changes(),
        to_item in changes(),
        which in 0..3,
    ) {
        let args = if which == 0 { args } else { changed(args, &to_args) };
        let item = if which == 1 { item } else { changed(item, &to_item) };
        route_holds(methods, args, item)?;
    }

    #[test]
    fn routes_of_any_tokens_are_a_router(input in tokens()) {
        router_holds(input)?;
    }

    #[test]
    fn routes_with_a_few_tokens_astray_are_a_router(input in right_mounts(), to_input in changes()) {
        router_holds(changed(input, &to_input))?;
    }
}
