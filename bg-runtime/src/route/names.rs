//! How `background = ..` sees the handler's arguments: `Copy` ones by value, all others by
//! reference.
//!
//! Generated code has both traits in scope, and calls `(&Seen(name)).__bg_seen()`
//! (`bg-macros/src/route/background.rs`). For that receiver method resolution tries [`ByValue`] first,
//! which is there for `Copy` types, and after one more `&` [`ByReference`]. So the methods share a name
//! and take `&self`, and the second trait is implemented for a reference.

/// A name bound by reference.
#[derive(Debug)]
pub struct Seen<'a, T: ?Sized>(pub &'a T);

pub trait ByValue {
    type Seen;

    fn __bg_seen(&self) -> Self::Seen;
}

impl<T: Copy> ByValue for Seen<'_, T> {
    type Seen = T;

    fn __bg_seen(&self) -> T {
        *self.0
    }
}

pub trait ByReference {
    type Seen;

    fn __bg_seen(&self) -> Self::Seen;
}

impl<'a, T: ?Sized> ByReference for &Seen<'a, T> {
    type Seen = &'a T;

    fn __bg_seen(&self) -> &'a T {
        self.0
    }
}
