use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

use super::failure::AbortReason;
use super::result::TaskResult;
use crate::scope::{Scope, enter_by_hook, is_by_hook};

/// Runs `work` on tokio's blocking pool, in the span and the scope of the caller.
///
/// If the future is dropped before a thread is free, the work does not run. Once it has begun, nothing
/// stops it: see `own_cancel` in `run/attempt.rs`.
///
/// # Errors
///
/// The error of `work`, or an `AbortReason` if the runtime shuts down before `work` begins.
///
/// # Panics
///
/// Resumes the panic of `work`.
pub async fn blocking(work: impl FnOnce() -> TaskResult + Send + 'static) -> TaskResult {
    let (span, scope, is_by_hook) = (Span::current(), Scope::current(), is_by_hook());
    let work = move || span.in_scope(work);
    let work = move || {
        if is_by_hook {
            enter_by_hook(work)
        } else {
            work()
        }
    };
    let run = move || match scope {
        Some(scope) => scope.enter(work),
        None => work(),
    };
    match AbortOnDropHandle::new(tokio::task::spawn_blocking(run)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled, and not by the handle, which is dropped only with this future.
            Err(_) => Err(AbortReason::Dropped.into()),
        },
    }
}
