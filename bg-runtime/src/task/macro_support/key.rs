/// An argument that tasks are counted by (`key = ..`): any that is `Display`. A trait of its own, for
/// the error message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a key: it is not `Display`",
    label = "tasks are counted by the text of this",
    note = "count by another parameter, such as a number or a name"
)]
pub trait KeyArgument {
    fn __bg_key(&self) -> String;
}

impl<T: std::fmt::Display> KeyArgument for T {
    fn __bg_key(&self) -> String {
        self.to_string()
    }
}

/// Returns the key of a task with this argument.
pub fn key<T: KeyArgument>(argument: &T) -> Option<String> {
    Some(argument.__bg_key())
}
