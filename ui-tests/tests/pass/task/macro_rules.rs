//! Tasks that a macro writes, from fragments of every kind.

#![deny(warnings)]

use bg_runtime::{Task, background_task};

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

fn main() {
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
