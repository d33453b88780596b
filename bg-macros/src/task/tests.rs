//! Promises about every expansion. What one looks like is in `tests/expansions`.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::quote;
use syn::File;

use super::expand;
use crate::errors::is_error;
use crate::syntax::mentions;

#[test]
fn only_the_path_that_crate_sets_leads_to_the_runtime() {
    let everything = quote! {
        /// Docs.
        pub async fn send_email(
            to: String,
            subject: &str,
            #[default = "x"] note: &str,
            #[default = 1] priority: u8,
            #[secret] code: u64,
            path: &Path,
            #[state] mailer: Mailer,
            #[context] cx: TaskContext,
        ) -> Result<(), MailError> {}
    };
    let sync = quote!(
        fn resize(path: &Path) {}
    );
    let broken = quote!(
        fn broken(path: &mut Path, #[default = 1] x: u8) {}
    );
    let durable = quote!(
        fn cut(
            #[was("id")] video: u64,
            #[default = 1] x: u8,
            #[secret] code: u8,
            #[secret(stored_in_clear)] path: PathBuf,
        ) {
        }
    );
    let args = quote!(
        crate = ::renamed::tasks,
        durable,
        name = "videos.cut",
        was = "videos.slice",
        queue = "slow",
        unique = [video],
        key = video,
        per_process(rate = "10/s", max_per_key = 1, max_concurrent = 4),
    );
    let expansion = expand(args, durable);
    assert!(!is_error(&expansion), "{expansion}");
    assert!(mentions(expansion.clone(), "renamed"));
    assert!(!mentions(expansion.clone(), "bg_runtime"), "{expansion}");
    for item in [everything, sync, broken] {
        let args = quote!(
            crate = ::renamed::tasks,
            timeout = "30s",
            retries = 3,
            backoff = "1s..1m",
            max_concurrent = 4,
            key = path,
            max_per_key = 1,
            max_pending_per_key = 100,
            max_unfinished_per_key = 100,
            on_full = replace,
            rate = "10/s",
            expires = "30s",
            on_error = report,
        );
        let expansion = expand(args, item);
        assert!(mentions(expansion.clone(), "renamed"));
        assert!(!mentions(expansion.clone(), "bg_runtime"), "{expansion}");
    }
}

#[test]
fn helper_attributes_do_not_reach_the_compiler() {
    let expansion = expand(
        TokenStream::new(),
        quote! {
            fn f(
                /// Docs.
                #[default = 1] a: u8,
                #[state] #[allow(unused_variables)] b: u8,
                #[context] c: TaskContext,
                #[secret] d: u8,
                #[others] e: u8,
                #[was("g")] f: u8,
            ) {}
        },
    );
    let function = expansion.to_string();
    let function = &function[..function.find("__arg").expect("the call")];
    for helper in ["[default", "[state", "[context", "[secret", "[was"] {
        assert!(!function.replace("# ", "").contains(helper), "{helper}");
    }
    assert!(function.contains("others") && function.contains("unused_variables"));
}

#[test]
fn wrong_settings_are_an_error_and_leave_the_function() {
    let item = quote!(async fn f(x: u8) { x. });
    for args in [
        quote!(= = =),
        quote!(,),
        quote!(timeout),
        quote!(timeout = ),
        quote!(timeout = 1 2 3),
        quote!(timeout = "5 parsecs", , name),
        quote!(crate),
        quote!(crate = "::"),
        quote!(crate = 1),
        quote!(crate = <A as B>::C),
        quote!(name = "  "),
        quote!(name = b"x"),
        quote!(on_error = <A as B>::C),
        quote!(on_error = |f| ()),
        quote!(retries),
        quote!(retries = "3"),
        quote!(retries = -3),
        quote!(retries = 4294967296),
        quote!(retries(3)),
        quote!(backoff = "1s"),
        quote!(retries = 3, backoff = 1),
        quote!(retries = 3, backoff = ""),
        quote!(retries = 3, backoff = ".."),
        quote!(retries = 3, backoff = "1m..1s"),
        quote!(retries = 3, backoff = 1s..),
        quote!(max_concurrent = 0),
        quote!(max_concurrent = 1.5),
        quote!(max_per_key = 1),
        quote!(max_pending_per_key = 1),
        quote!(max_unfinished_per_key = 1),
        quote!(key = x, max_unfinished_per_key = 0),
        quote!(on_full = replace),
        quote!(key = x, max_per_key = 1, on_full = replace),
        quote!(key = x, max_pending_per_key = 1, on_full = "replace"),
        quote!(rate = 10),
        quote!(rate = "0/s"),
        quote!(rate = "10"),
        quote!(rate = 10 / s),
        quote!(expires = "0s"),
        quote!(expires = 30),
        quote!(key = x),
        quote!(durable),
        quote!(durable = true, name = "a.b"),
        quote!(durable, name = "a b"),
        quote!(durable, name = "a.b", queue = slow),
        quote!(durable, name = "a.b", unique = x),
        quote!(durable, name = "a.b", unique(x)),
        quote!(durable, name = "a.b", unique = ["x"]),
        quote!(durable, name = "a.b", was = ["a.b"]),
        quote!(durable, name = "a.b", was = ["a.c", "a.c"]),
        quote!(durable, name = "a.b", per_process),
        quote!(durable, name = "a.b", per_process(= = =)),
        quote!(durable, name = "a.b", per_process(max_per_key = 1)),
        quote!(durable, name = "a.b", rate = "1/s"),
        quote!(name = "a.b", queue = "slow"),
        quote!(unique = [x]),
        quote!(key = x, max_per_key = 0),
        quote!(key = y, max_per_key = 1),
        quote!(key = "x", max_per_key = 1),
        quote!(key = x::y, max_per_key = 1),
        quote!(key = <A as B>::x, max_per_key = 1),
        quote!(key = 1, max_per_key = 1),
        quote!({ a: b } [c] 'd "e" 1.5),
        quote!(unsafe = async, r#type = 1, _ = 2),
    ] {
        let expansion = expand(args.clone(), item.clone());
        assert!(is_error(&expansion), "{args}");
        assert!(
            expansion.to_string().starts_with(&item.to_string()),
            "{args}"
        );
    }
}

/// `macro_rules!` wraps fragments in such groups.
#[test]
fn an_invisible_group_of_more_than_a_value_is_an_error() {
    let item = quote!(
        async fn f() {}
    );
    let value = TokenTree::from(Group::new(Delimiter::None, quote!(3 "x")));
    assert!(is_error(&expand(quote!(retries = #value), item)));
}

#[test]
fn an_item_that_is_no_task_is_an_error() {
    for item in [
        quote!(),
        quote!(;),
        quote!(
            struct F;
        ),
        quote!(impl F { fn f() {} }),
        quote!(1 + [2] "three"),
        quote!(fn),
        quote!(fn f),
        quote!(fn f(x) {}),
        quote!(
            fn f(x: u8);
        ),
        quote!(
            fn f(&self) {}
        ),
        quote!(
            fn f(x: &mut &'a [impl A<'_>]) {}
        ),
        quote!(
            fn f(
                #[state]
                #[state = 1]
                #[default(2)]
                _: (),
                ..: u8,
            ) {
            }
        ),
        quote!(
            fn _1() {}
        ),
        quote!(
            fn self_(x: u8) {}
        ),
        quote!(
            #[cfg_attr]
            #[cfg_attr()]
            #[cfg_attr(a)]
            #[doc]
            fn __() {}
        ),
        quote!(
            const unsafe extern "C" fn f<'a, T, const N: usize>(x: [T; N], ...) -> ! {}
        ),
    ] {
        let expansion = expand(TokenStream::new(), item.clone());
        assert!(is_error(&expansion), "{item}");
    }
}

#[test]
fn an_expansion_of_a_task_parses_as_items() {
    for item in [
        quote!(
            fn f() {}
        ),
        quote!(
            #[doc(hidden)]
            #[doc = include_str!("x")]
            #[cfg_attr(a, doc = "b")]
            fn f() {}
        ),
        quote!(
            fn f(#[default = 1] x: u8) {}
        ),
        quote!(
            fn r#type(#[secret] r#fn: u8, #[state] r#mod: &u8) -> () {}
        ),
        quote!(
            fn f(x: &mut u8) {}
        ),
    ] {
        let args = quote!(
            name = "f",
            timeout = LIMIT,
            retries = LIMIT,
            backoff = LIMIT,
            key = x,
            max_per_key = LIMIT
        );
        for args in [TokenStream::new(), args] {
            let expansion = expand(args, item.clone());
            let parsed = syn::parse2::<File>(expansion.clone());
            assert!(parsed.is_ok(), "{expansion}");
        }
    }
}

#[test]
fn a_setting_that_needs_another_is_one_error_without_it() {
    let item = quote!(
        async fn f(x: u8) {}
    );
    for (args, expected) in [
        (quote!(retries = 3, backoff = "1s"), 0),
        (quote!(key = x, max_per_key = 1), 0),
        (quote!(key = x, max_pending_per_key = 1), 0),
        (quote!(max_concurrent = 1), 0),
        (
            quote!(key = x, max_unfinished_per_key = 1, on_full = ignore),
            0,
        ),
        (
            quote!(key = x, max_pending_per_key = 1, on_full = replace),
            0,
        ),
        (quote!(key = x, rate = "1/s"), 0),
        (quote!(rate = "1/s"), 0),
        (quote!(durable, name = "a.b", backoff = "1s", key = x), 0),
        (
            quote!(durable, name = "a.b", key = x, per_process(max_per_key = 1)),
            0,
        ),
        // A misspelled word has its own error, and those that need it have none.
        (quote!(durabel, name = "a.b", queue = "slow", unique), 1),
        (quote!(durable, nmae = "a.b"), 1),
        (quote!(durable, name = 7), 1),
        (quote!(durable, name = "a.b", max_pending_per_key = 1), 1),
        (
            quote!(durable, name = "a.b", rate = "1/s", max_concurrent = 1),
            2,
        ),
        (
            quote!(queue = "slow", was = "a.b", per_process(rate = "1/s")),
            3,
        ),
        // One of two settings is wrong or misspelled, but it is there.
        (quote!(retries = "3", backoff = "1s"), 1),
        (quote!(retires = 3, backoff = "1s"), 1),
        (quote!(retries, backoff = "1s"), 1),
        (quote!(key = "x", max_per_key = 1), 1),
        (quote!(key = x, max_per_kye = 1), 1),
        (quote!(key = y, max_per_key = 1), 1),
        (quote!(key = x, max_pending_per_key = 0), 1),
        (quote!(backoff = "1s"), 1),
        (quote!(key = x), 1),
        (quote!(key = x, crate = ::bg_runtime), 1),
        (quote!(key = x, rat = "1/s"), 1),
        (quote!(key = x, max_per_key = 1, on_full = replace), 1),
        (
            quote!(key = x, max_pending_per_kye = 1, on_full = replace),
            1,
        ),
        (quote!(key = x, max_pending_per_key = 1, on_full = drop), 1),
        (quote!(max_unfinished_per_key = 1, on_full = replace), 1),
        (quote!(max_per_key = 1), 1),
        (quote!(max_per_key = 1, max_pending_per_key = 1), 2),
        (quote!(backoff = "1s..", max_per_key = 0), 4),
    ] {
        let expansion = expand(args.clone(), item.clone()).to_string();
        let found = expansion.matches("compile_error").count();
        assert_eq!(found, expected, "{args}: {expansion}");
    }
}

#[test]
fn a_task_that_holds_its_own_kind_is_not_made_clone() {
    let is_value = |item| mentions(expand(TokenStream::new(), item), "value");
    assert!(is_value(quote!(
        fn walk(next: Option<Box<Step>>) {}
    )));
    assert!(!is_value(quote!(
        fn walk(next: Option<Box<Walk>>) {}
    )));
    assert!(!is_value(quote!(
        fn walk(next: &[self::Walk]) {}
    )));
    assert!(is_value(quote!(
        fn walk(#[state] next: Sender<Walk>) {}
    )));
}
