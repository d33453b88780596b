//! Queuing onto the request that is being handled, for code that has no handle to it.

use std::fmt;
use std::sync::Arc;

use super::into_tasks::IntoTasks;
use super::queue::{RequestTasks, Source};
use crate::scope::Scope;
use crate::task::{BoxTask, are_there_arounds};

/// Returns the request that is being handled; `None` outside a request.
pub(crate) fn current() -> Option<Arc<RequestTasks>> {
    Scope::current()?.downcast()
}

/// Captures what surrounds the calling code for a task that is accepted later: one of a response, say, when its
/// handler is over. Without any `around` in the process, this reads one number.
#[inline]
pub(super) fn capture(task: &mut BoxTask) {
    if !are_there_arounds() {
        return;
    }
    if let Some(request) = current() {
        request.runner().capture(task);
    }
}

/// Queues a task onto the request that is being handled, from any depth of the call stack.
///
/// Works in the handler, in extractors and middleware inside the outermost route attribute or
/// [`Background::layer`](crate::Background::layer), in bodies that are streamed (those that do not
/// know their size beforehand), and in the request's own background tasks; not in a task that
/// `tokio::spawn` runs. The task joins those that the handler adds through
/// [`BackgroundTasks`](crate::BackgroundTasks).
///
/// # Errors
///
/// Fails outside a request. The task does not run, and the error gives it back.
pub fn after_response<T: IntoTasks>(task: T) -> Result<(), NoRequest<T>> {
    match current() {
        Some(request) => {
            request.add_all(Source::Handler, task);
            Ok(())
        }
        None => Err(NoRequest(task)),
    }
}

/// The error of [`after_response`] outside a request, with the task that was not queued.
pub struct NoRequest<T>(T);

impl<T> NoRequest<T> {
    /// Returns the task that was not queued.
    pub fn into_task(self) -> T {
        self.0
    }
}

impl<T> fmt::Display for NoRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "`after_response` was called outside a request: the app is not run with `background.serve(..)`, and no \
             route attribute and no `background.layer()` is around this code; or it runs in a task that was \
             spawned, where `background.spawn(task)` takes its place",
        )
    }
}

/// The same as `Display`, because this is what `unwrap` prints.
impl<T> fmt::Debug for NoRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T> std::error::Error for NoRequest<T> {}
