//! The request and the error hook on whose behalf code runs, for code that has no handle to either.
//!
//! This module stands below the runner and the request, so that the runner can carry a request along
//! without knowing what one is: here it is `Any`, and [`request::current`](crate::request::current)
//! downcasts it again.
//!
//! Request and hook are two task-locals, because a service that an error hook calls enters a request of
//! its own, and still runs on behalf of the hook.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use tokio::task_local;

task_local! {
    static REQUEST: Scope;
    static BY_HOOK: ();
}

/// A request, as code that runs on its behalf carries it along.
///
/// Each clone counts as a handle through which tasks may still be added: `RequestTasks::is_waited_for`
/// (`request/queue.rs`) reads `Arc::strong_count`. So a scope is kept no longer than the code that is
/// to run in it.
#[derive(Clone)]
pub(crate) struct Scope(Arc<dyn Any + Send + Sync>);

/// A future that runs in a request's scope.
pub(crate) type Scoped<F> = tokio::task::futures::TaskLocalFuture<Scope, F>;

impl Scope {
    pub(crate) fn new(request: Arc<impl Any + Send + Sync>) -> Self {
        Self(request)
    }

    /// Returns the scope of the calling code, if it is in one.
    pub(crate) fn current() -> Option<Self> {
        REQUEST.try_with(Self::clone).ok()
    }

    /// Returns the request, if it is a `T`.
    pub(crate) fn downcast<T: Any + Send + Sync>(self) -> Option<Arc<T>> {
        self.0.downcast().ok()
    }

    /// Returns whether `self` and `other` are scopes of the same request.
    pub(crate) fn is_same_request(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Runs a future in this scope.
    pub(crate) fn scope<F: Future>(self, future: F) -> Scoped<F> {
        REQUEST.scope(self, future)
    }

    /// Calls a function in this scope.
    pub(crate) fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        REQUEST.sync_scope(self, f)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// Returns whether the calling code runs on behalf of an error hook, directly or through tasks that
/// the hook queued.
pub(crate) fn is_by_hook() -> bool {
    BY_HOOK.try_with(|()| ()).is_ok()
}

/// Runs a future on behalf of an error hook.
pub(crate) fn by_hook<F: Future>(future: F) -> impl Future<Output = F::Output> {
    BY_HOOK.scope((), future)
}

/// Calls a function on behalf of an error hook.
pub(crate) fn enter_by_hook<R>(f: impl FnOnce() -> R) -> R {
    BY_HOOK.sync_scope((), f)
}
