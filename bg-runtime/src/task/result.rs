use std::error::Error;

/// An error of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The result of one run of a task.
pub type TaskResult = Result<(), BoxError>;

/// A type that a task's function may return: `()`, or `Result<(), E>` where `E` converts into
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

/// The type `!`, of a task that ends only by a panic or an abort: `async { loop { .. } }`. It cannot be
/// named on stable Rust, except as the output of `fn() -> !`.
type Never = <fn() -> ! as Returns>::Output;

#[doc(hidden)]
pub trait Returns {
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}
