//! The targets of what the crate logs, which filters name. The guide lists them.

/// The set-up, the server, and what to change in the application.
pub(crate) const RUNTIME: &str = "bg_runtime";

/// The life of a task: its spans, the event when it is queued and the one when it has ended, its progress.
pub(crate) const TASK: &str = "bg_runtime::task";

/// A task that did not succeed, and the panics of error hooks.
pub(crate) const FAILURE: &str = "bg_runtime::failure";
