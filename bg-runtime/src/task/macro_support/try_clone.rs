//! Copies of a task, for the runs after its first, and for tests that compare tasks.

use super::arguments::Probe;

/// An argument of a task with the setting `retries`: any that is `Clone`. A trait of its own, for the
/// error message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be retried with: it is not `Clone`",
    label = "each run after the first is given a clone of this",
    note = "share it, as in `Arc<T>`, make it `#[state]`, or leave out `retries`"
)]
pub trait RetriedArgument {
    fn __bg_copy(&self) -> Self;
}

impl<T: Clone> RetriedArgument for T {
    fn __bg_copy(&self) -> Self {
        self.clone()
    }
}

/// Copies one argument for the next run.
pub fn copy<T: RetriedArgument>(argument: &T) -> T {
    argument.__bg_copy()
}

/// `(&Probe(&task)).__bg_try_clone()` is a clone if the task is `Clone`, and otherwise `None`, from
/// [`OnceTask`]. See [`Probe`].
pub trait CloneTask<T> {
    fn __bg_try_clone(&self) -> Option<T>;
}

impl<T: Clone> CloneTask<T> for Probe<'_, T> {
    fn __bg_try_clone(&self) -> Option<T> {
        Some(self.0.clone())
    }
}

pub trait OnceTask<T> {
    fn __bg_try_clone(&self) -> Option<T>;
}

impl<T> OnceTask<T> for &Probe<'_, T> {
    fn __bg_try_clone(&self) -> Option<T> {
        None
    }
}

/// Implements `Clone` and `PartialEq` for a task, each if all of its arguments implement it.
///
/// With `for<'__any>`, rustc accepts a bound that does not hold, and the implementation does not apply;
/// without it, a false bound on a concrete type is an error. [`CloneTask`] and [`Retryable`] look for
/// this `Clone`, and `Recorder::assert_queued` for this `PartialEq`.
///
/// [`CloneTask`]: crate::__private::CloneTask
/// [`Retryable`]: crate::Retryable
#[doc(hidden)]
#[macro_export]
macro_rules! __value {
    ($task:ident { $($field:ident: $ty:ty),* $(,)? }) => {
        impl ::core::clone::Clone for $task
        where
            $(for<'__any> $ty: ::core::clone::Clone,)*
        {
            fn clone(&self) -> Self {
                Self { $($field: ::core::clone::Clone::clone(&self.$field)),* }
            }
        }

        impl ::core::cmp::PartialEq for $task
        where
            $(for<'__any> $ty: ::core::cmp::PartialEq,)*
        {
            // A comparison of function pointers is unreliable, but a test that compares tasks asks for
            // it.
            #[allow(unpredictable_function_pointer_comparisons)]
            fn eq(&self, _other: &Self) -> bool {
                true $(&& ::core::cmp::PartialEq::eq(&self.$field, &_other.$field))*
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Cloned(u8);

    #[derive(Debug, PartialEq)]
    struct Single;

    #[test]
    #[expect(
        clippy::needless_borrow,
        reason = "the borrow is what generated code writes"
    )]
    fn a_task_is_copied_only_if_it_is_clone() {
        assert_eq!((&Probe(&Cloned(7))).__bg_try_clone(), Some(Cloned(7)));
        assert_eq!((&Probe(&Single)).__bg_try_clone(), None);
    }
}
