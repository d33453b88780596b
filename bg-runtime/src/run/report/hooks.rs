//! The sink for the application: a task's own error hook, then those of the `Background`, or the log if
//! there are none of these.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::Span;

use super::{Event, log};
use crate::contain::{Panicked, contain};
use crate::one_line::OneLine;
use crate::run::{Hold, Runner};
use crate::scope::{by_hook, enter_by_hook};
use crate::task::{TaskFailure, TaskInfo};

/// The error hooks of one `Background`, in the order in which they were given.
#[derive(Default)]
pub(crate) struct Hooks(Vec<Hook>);

enum Hook {
    Sync(Box<dyn Fn(&TaskFailure) + Send + Sync>),
    Async(Box<AsyncHook>),
}

type AsyncHook = dyn Fn(TaskFailure) -> BoxFuture<'static, ()> + Send + Sync;

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

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(super) fn own_hook(task: &TaskInfo) -> Option<fn(&TaskFailure)> {
    task.def()?.own_hook()
}

/// Calls the hooks for a failure. Failures of tasks that a hook queued are logged instead: otherwise an
/// alert that fails would raise alerts for ever.
pub(super) fn tell(runner: &Arc<Runner>, event: &Event<'_>, failure: &TaskFailure) {
    // Contained as a whole, because the log shows the user's `Display`; and each hook alone, in `call`, so that
    // one that panics keeps no other from being called.
    let told = contain(|| {
        if event.by_hook {
            log::failure(failure, event.span);
        } else {
            tell_all(runner, failure, event.span);
        }
    });
    if let Err(panic) = told {
        tracing::error!(
            parent: event.span,
            task.name = event.task.task.name(),
            panic = %OneLine(panic),
            "reporting a background task's failure panicked"
        );
    }
}

fn tell_all(runner: &Arc<Runner>, failure: &TaskFailure, span: &Span) {
    if let Some(hook) = own_hook(failure.task()) {
        call(failure, || hook(failure));
    }
    if runner.hooks.is_empty() {
        log::failure(failure, span);
    }
    for hook in &runner.hooks.0 {
        match hook {
            Hook::Sync(hook) => call(failure, || hook(failure)),
            Hook::Async(hook) => tell_async(runner, &**hook, failure, span),
        }
    }
}

/// Calls a hook, and contains its panics.
fn call(failure: &TaskFailure, hook: impl FnOnce()) {
    if let Err(panic) = contain(|| enter_by_hook(hook)) {
        log_panic(failure, &panic);
    }
}

/// Spawns an async hook, so that the list goes on meanwhile. A shutdown waits for it.
fn tell_async(runner: &Arc<Runner>, hook: &AsyncHook, failure: &TaskFailure, span: &Span) {
    let untold = Untold {
        failure: Some(failure.clone()),
        span: span.clone(),
        _hold: runner.hold(),
    };
    let mut hook_future = None;
    call(failure, || hook_future = Some(hook(failure.clone())));
    let (Some(hook_future), Some(runtime)) = (hook_future, runner.executor.runtime()) else {
        return;
    };
    let failure = failure.clone();
    // Not in the `AbortRegistry`, because it may be reporting tasks that a shutdown aborts.
    let telling = runtime.spawn(async move {
        let told = AssertUnwindSafe(by_hook(hook_future)).catch_unwind().await;
        if let Err(payload) = told {
            log_panic(&failure, &Panicked::new(payload));
        }
        untold.told();
    });
    runner.dispatch.note_hook(telling);
}

/// A failure that an async hook has not heard about yet. If it never does, because the hook gave no future,
/// there is no runtime, or the runtime is shut down, the failure is logged.
struct Untold {
    failure: Option<TaskFailure>,
    span: Span,
    /// Keeps a shutdown waiting for the hook. Declared last, so that the span closes before it is released.
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
            let _ = contain(|| log::failure(&failure, &self.span));
        }
    }
}

/// Logs the panic of a hook, with the task's name and id alone: showing the rest may be what made the hook
/// panic.
fn log_panic(failure: &TaskFailure, panic: &Panicked) {
    tracing::error!(
        task.name = failure.task().name(),
        task.id = failure.id().get(),
        panic = %OneLine(panic),
        "the error hook panicked on a background task's failure"
    );
}
