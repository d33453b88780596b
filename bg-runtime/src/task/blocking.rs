use tokio_util::task::AbortOnDropHandle;
use tracing::Span;

use super::outcome::TaskResult;
use crate::scope::{Scope, enter_by_hook, is_by_hook};

/// Runs a synchronous task on tokio's blocking pool, with the span and the scope of the task that
/// waits for it. Dropped before a thread was free for it, the work does not run.
///
/// # Panics
///
/// With the panic of `work`.
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
            Err(error) => Err(error.into()),
        },
    }
}
