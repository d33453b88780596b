use std::error::Error;

/// An error of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What a run of a task ends with.
pub type TaskResult = Result<(), BoxError>;

/// What a task's function may return: `()`, or `Result<(), E>` where `E` converts into
/// [`BoxError`].
#[diagnostic::on_unimplemented(
    message = "a background task cannot return `{Self}`",
    label = "expected `()` or `Result<(), E>`",
    note = "no caller is left to receive a value when the task runs; `E` is an error that is `Send + Sync`, `anyhow::Error` or `Box<dyn Error + Send + Sync>`"
)]
pub trait IntoTaskResult {
    /// Converts into the result that the runner reports.
    #[expect(clippy::missing_errors_doc, reason = "the error is the task's own")]
    fn into_task_result(self) -> TaskResult;
}

#[diagnostic::do_not_recommend]
impl IntoTaskResult for () {
    fn into_task_result(self) -> TaskResult {
        Ok(self)
    }
}

#[diagnostic::do_not_recommend]
impl<E: Into<BoxError>> IntoTaskResult for Result<(), E> {
    fn into_task_result(self) -> TaskResult {
        self.map_err(Into::into)
    }
}

#[diagnostic::do_not_recommend]
impl IntoTaskResult for Never {
    fn into_task_result(self) -> TaskResult {
        match self {}
    }
}

/// The type of a task that only ends by a panic or an abort: `async { loop { .. } }`. `!` has no
/// name of its own on stable Rust; as what such a function returns it can be had.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}
