//! Who is told of a failure: the task's own hook, then those of the `Background`, or else the log.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use tokio::task_local;
use tracing::{Level, Span};

use super::log::log;
use super::{Hold, Runner};
use crate::contain::{Panicked, contain};
use crate::one_line::OneLine;
use crate::task::{TaskFailure, TaskInfo};

/// The hooks of one `Background`, in the order they were given.
#[derive(Default)]
pub(crate) struct Hooks(Vec<Hook>);

enum Hook {
    Sync(Box<dyn Fn(&TaskFailure) + Send + Sync>),
    Async(Box<dyn Fn(TaskFailure) -> BoxFuture<'static, ()> + Send + Sync>),
}

impl Hooks {
    pub(crate) fn push_sync(&mut self, hook: impl Fn(&TaskFailure) + Send + Sync + 'static) {
        self.0.push(Hook::Sync(Box::new(hook)));
    }

    pub(crate) fn push_async<F>(&mut self, hook: impl Fn(TaskFailure) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.0.push(Hook::Async(Box::new(move |failure| {
            Box::pin(hook(failure))
        })));
    }
}

impl Runner {
    /// Whether a failure of this task would be seen by anyone, so that its arguments are worth
    /// formatting.
    pub(super) fn has_audience(&self, task: &TaskInfo) -> bool {
        !self.hooks.0.is_empty()
            || own_hook(task).is_some()
            || tracing::enabled!(Level::ERROR)
            || self.recording.is_some()
    }

    pub(super) fn tell(self: &Arc<Self>, failure: &TaskFailure, span: &Span) {
        if let Some(hook) = own_hook(failure.task()) {
            telling(failure, || hook(failure));
        }
        if self.hooks.0.is_empty() {
            log(failure, span);
        }
        for hook in &self.hooks.0 {
            match hook {
                Hook::Sync(hook) => telling(failure, || hook(failure)),
                Hook::Async(hook) => self.tell_async(&**hook, failure, span),
            }
        }
    }

    /// An async hook runs beside the list that failed, and a shutdown waits for it.
    fn tell_async(
        self: &Arc<Self>,
        hook: &(dyn Fn(TaskFailure) -> BoxFuture<'static, ()> + Send + Sync),
        failure: &TaskFailure,
        span: &Span,
    ) {
        let untold = Untold {
            failure: Some(failure.clone()),
            span: span.clone(),
            _hold: self.hold(),
        };
        let mut hook_future = None;
        telling(failure, || hook_future = Some(hook(failure.clone())));
        let (Some(hook_future), Some(runtime)) = (hook_future, self.runtime()) else {
            return;
        };
        let failure = failure.clone();
        // Not stopped with the tasks: it may be telling of their abort.
        let telling = runtime.spawn(async move {
            let told = AssertUnwindSafe(TELLING.scope((), hook_future))
                .catch_unwind()
                .await;
            if let Err(payload) = told {
                log_panic(&failure, &Panicked::new(payload));
            }
            untold.told();
        });
        if let Some(recording) = &self.recording {
            recording.wait_for_hook(telling);
        }
    }
}

task_local! {
    /// Set while a hook runs, or a task that a hook queued, or one that this queued in turn.
    static TELLING: ();
}

/// Whether an error hook is the caller, at whatever distance.
pub(crate) fn is_telling() -> bool {
    TELLING.try_with(|()| ()).is_ok()
}

/// A task's work, which speaks for the hook if a hook queued it.
pub(super) fn on_behalf_of<F: Future>(by_hook: bool, work: F) -> impl Future<Output = F::Output> {
    // Not an async block, which has space for the work twice.
    if by_hook {
        Either::Left(TELLING.scope((), work))
    } else {
        Either::Right(work)
    }
}

/// The same, for synchronous work.
pub(crate) fn on_behalf_of_sync<R>(by_hook: bool, work: impl FnOnce() -> R) -> R {
    if by_hook {
        TELLING.sync_scope((), work)
    } else {
        work()
    }
}

/// Calls a hook.
fn telling(failure: &TaskFailure, hook: impl FnOnce()) {
    if let Err(panic) = contain(|| TELLING.sync_scope((), hook)) {
        log_panic(failure, &panic);
    }
}

/// A failure that an async hook has still to be told of. Where that does not come about, because
/// there is no runtime or it is shut down, the failure is logged.
struct Untold {
    failure: Option<TaskFailure>,
    span: Span,
    /// A shutdown waits for the hook.
    _hold: Hold,
}

impl Untold {
    fn told(mut self) {
        self.failure = None;
    }
}

impl Drop for Untold {
    fn drop(&mut self) {
        if let Some(failure) = self.failure.take() {
            let _ = contain(|| log(&failure, &self.span));
        }
    }
}

fn own_hook(task: &TaskInfo) -> Option<fn(&TaskFailure)> {
    task.def()?.own_hook()
}

/// Names the task alone: what the hook was told may be what made it panic.
fn log_panic(failure: &TaskFailure, panic: &Panicked) {
    tracing::error!(
        task.name = failure.task().name(),
        task.id = failure.id().get(),
        panic = %OneLine(panic),
        "the error hook panicked while it was told of a background task's failure"
    );
}
