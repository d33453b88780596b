//! Tasks that a macro writes, from fragments of every kind.

#![deny(warnings)]

use bg_runtime::{Task, TaskContext, background_task};

macro_rules! tasks {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident($($arg:ident: $ty:ty),*; $default:expr) -> $ret:ty $body:block
        called $called:literal within $limit:expr
    )*) => {$(
        $(#[$meta])*
        #[background_task(name = $called, timeout = $limit)]
        $vis fn $name($($arg: $ty,)* own: &$ret, #[default = $default] last: u32) -> $ret {
            let _ = (own, last);
            $body
        }
    )*};
}

tasks! {
    /// The first.
    pub fn first(to: String, from: &str; 1 + 1) -> () { let _ = (to, from); }
    called "macro.first" within "1m"

    fn second(sizes: &[u8]; 3) -> Result<(), std::fmt::Error> { let _ = sizes; Ok(()) }
    called "macro.second" within std::time::Duration::from_secs(2)
}

macro_rules! limited {
    ($name:ident($key:ident: $ty:ty) $retries:literal, $backoff:expr, $limit:expr, $pending:tt) => {
        #[background_task(
            retries = $retries,
            backoff = $backoff,
            max_concurrent = $limit,
            key = $key,
            max_per_key = $limit,
            max_pending_per_key = $pending,
        )]
        async fn $name($key: $ty, other: &$ty) {
            let _ = ($key, other);
        }
    };
}

// A name and a type that are from outside of the macro, where the attribute is not.
macro_rules! given {
    ($name:ident($cx:ident) -> $($ret:tt)*) => {
        #[background_task]
        async fn $name(#[state] state: u8, #[context] $cx: TaskContext) -> $($ret)* {
            let _ = (state, $cx);
            Ok(())
        }
    };
}

given!(fourth(cx) -> Result<(), std::fmt::Error>);

limited!(third(user: std::num::Wrapping<u8>) 3, "1s..1m", 1 + 1, 9);

fn main() {
    let third = Third::new(std::num::Wrapping(7), std::num::Wrapping(8));
    assert!(third.try_clone() == Some(third.clone()));
    assert_eq!(third.key().as_deref(), Some("7"));
    assert!(Fourth.try_clone() == Some(Fourth));

    let first = First::new("a", "b", ());
    assert_eq!(
        (first.to.as_str(), first.from.as_str(), first.last),
        ("a", "b", 2)
    );
    assert_eq!(First::DEF.name(), "macro.first");

    let second = Second::new(vec![1], Ok(())).last(9);
    assert_eq!(
        (second.sizes, second.own, second.last),
        (vec![1], Ok(()), 9)
    );
    assert_eq!(Second::DEF.name(), "macro.second");
}
