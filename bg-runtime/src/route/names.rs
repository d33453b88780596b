//! How `background = ..` sees the handler's arguments: `Copy` ones by value, all others by
//! reference.

/// A name bound by reference. `(&Seen(name)).__bg_seen()` picks, by autoref, the impl for `Copy`
/// types where there is one.
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
