//! The arguments of a task, as failure reports show them.

use std::fmt;

use crate::one_line::write_within;

/// The length at which arguments are cut, in bytes: enough to recognise a task by, and a bound on what
/// formatting a large argument costs before the task has even run.
const LIMIT: usize = 1024;

/// A value that generated code asks what its type implements.
///
/// `(&Probe(&x)).__bg_argument()` resolves to [`DebugArgument`] if the type is `Debug`, and otherwise,
/// by autoref, to [`OpaqueArgument`], which shows nothing. This takes exactly one `&`, and both traits
/// in scope.
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a T);

pub trait DebugArgument<'a> {
    fn __bg_argument(&self) -> Option<&'a dyn fmt::Debug>;
}

impl<'a, T: fmt::Debug> DebugArgument<'a> for Probe<'a, T> {
    fn __bg_argument(&self) -> Option<&'a dyn fmt::Debug> {
        Some(self.0)
    }
}

pub trait OpaqueArgument<'a> {
    fn __bg_argument(&self) -> Option<&'a dyn fmt::Debug>;
}

impl<'a, T> OpaqueArgument<'a> for &Probe<'a, T> {
    fn __bg_argument(&self) -> Option<&'a dyn fmt::Debug> {
        None
    }
}

/// Shown instead of a `#[secret]` argument.
pub const SECRET: Option<&'static dyn fmt::Debug> = Some(&Secret);

#[derive(Clone, Copy)]
pub struct Secret;

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `Debug` for a task, as `derive` would write it, where the arguments have it. Those without a type here
/// are secret.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($task:ident { $($label:literal $field:ident $(: $ty:ty)?),* $(,)? }) => {
        impl ::core::fmt::Debug for $task
        where
            $($(for<'__any> $ty: ::core::fmt::Debug,)?)*
        {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Formatter::debug_struct(f, ::core::stringify!($task))
                    $(.field($label, $crate::__debug!(@ self $field $($ty)?)))*
                    .finish()
            }
        }
    };
    (@ $task:ident $field:ident) => {
        &$crate::__private::Secret
    };
    (@ $task:ident $field:ident $ty:ty) => {
        &$task.$field
    };
}

/// Returns the arguments of a task as one value, if all of them can be shown.
pub fn arguments<'a, const N: usize>(
    arguments: [(&'static str, Option<&'a dyn fmt::Debug>); N],
) -> Option<impl fmt::Debug + 'a> {
    arguments
        .iter()
        .all(|(_, value)| value.is_some())
        .then_some(Arguments(arguments))
}

struct Arguments<'a, const N: usize>([(&'static str, Option<&'a dyn fmt::Debug>); N]);

impl<const N: usize> fmt::Debug for Arguments<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self
            .0
            .iter()
            .filter_map(|(name, value)| Some((name, (*value)?)));
        for (position, (name, value)) in shown.enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}: {value:?}")?;
        }
        Ok(())
    }
}

/// Formats arguments on one line of bounded length, whatever their `Debug` writes.
pub(crate) fn render(arguments: &impl fmt::Debug) -> String {
    let mut text = String::new();
    // An error means that the user's `Debug` failed: what it has written so far is shown.
    let _ = write_within(LIMIT, format_args!("{arguments:?}"), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NoDebug;

    #[test]
    fn arguments_are_shown_only_if_all_of_them_have_debug() {
        let to = String::from("a@b.c");
        let shown = arguments([("to", Probe(&to).__bg_argument()), ("code", SECRET)]).unwrap();
        assert_eq!(render(&shown), r#"to: "a@b.c", code: ***"#);

        let hidden = arguments([
            ("to", Probe(&to).__bg_argument()),
            ("x", (&Probe(&NoDebug)).__bg_argument()),
        ]);
        assert!(hidden.is_none());
    }

    #[test]
    fn a_long_argument_is_cut_and_a_line_break_is_escaped() {
        struct Raw(&'static str);
        impl fmt::Debug for Raw {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        assert_eq!(render(&Raw("one\ntwo\u{1b}[31m")), r"one\ntwo\u{1b}[31m");

        let long = vec![7u8; 1 << 20];
        let line = render(&long);
        assert!(line.ends_with('…'));
        assert_eq!(line.len(), LIMIT + '…'.len_utf8());
    }
}
