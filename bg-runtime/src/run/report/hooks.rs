//! The sink for the application: a task's own error hook, then those of the `Background`.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::Span;

use super::{Event, log};
use crate::contain::{Panicked, contain};
use crate::log_target::FAILURE;
use crate::one_line::OneLine;
use crate::run::{Hold, Runner};
use crate::scope::{by_hook, enter_by_hook};
use crate::task::{TaskFailure, TaskInfo};

/// The error hooks of one `Background`, in the order in which they were given, and whether the failures that
/// they hear about are logged as well.
pub(crate) struct Hooks {
    hooks: Vec<Hook>,
    log_failures: bool,
}

impl Default for Hooks {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            log_failures: true,
        }
    }
}

enum Hook {
    Sync(Box<dyn Fn(&TaskFailure) + Send + Sync>),
    Async(Box<AsyncHook>),
}

type AsyncHook = dyn Fn(TaskFailure) -> BoxFuture<'static, ()> + Send + Sync;

impl Hooks {
    pub(crate) fn push_sync(&mut self, hook: impl Fn(&TaskFailure) + Send + Sync + 'static) {
        self.hooks.push(Hook::Sync(Box::new(hook)));
    }

    pub(crate) fn push_async<F>(&mut self, hook: impl Fn(TaskFailure) -> F + Send + Sync + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.hooks.push(Hook::Async(Box::new(move |failure| {
            Box::pin(hook(failure))
        })));
    }

    pub(crate) fn set_log_failures(&mut self, log_failures: bool) {
        self.log_failures = log_failures;
    }

    /// Returns whether a hook hears about a failure of this task.
    pub(super) fn hear_of(&self, task: &TaskInfo) -> bool {
        !self.hooks.is_empty() || own_hook(task).is_some()
    }

    /// Returns whether failures are logged, even if a hook hears about them.
    pub(super) fn log_failures(&self) -> bool {
        self.log_failures
    }
}

fn own_hook(task: &TaskInfo) -> Option<fn(&TaskFailure)> {
    task.def()?.own_hook()
}

/// Logs a failure, and then calls the hooks for it. No hook is called for a failure of a task that a hook
/// queued: an alert that fails would raise alerts for ever.
///
/// Each hook is contained alone, so that one that panics keeps no other from being called.
pub(super) fn tell(runner: &Arc<Runner>, event: &Event<'_>, failure: &TaskFailure) {
    let (hooks, span) = (&runner.hooks, event.span);
    if event.by_hook || hooks.log_failures {
        log::failure(failure, span);
    }
    if event.by_hook || !hooks.hear_of(failure.task()) {
        return;
    }
    let unheard = (!hooks.log_failures).then(|| Unheard::new(failure, span));
    if let Some(hook) = own_hook(failure.task()) {
        tell_sync(failure, unheard.as_deref(), hook);
    }
    for hook in &hooks.hooks {
        match hook {
            Hook::Sync(hook) => tell_sync(failure, unheard.as_deref(), hook),
            Hook::Async(hook) => tell_async(runner, &**hook, failure, unheard.clone()),
        }
    }
}

fn tell_sync(failure: &TaskFailure, unheard: Option<&Unheard>, hook: impl FnOnce(&TaskFailure)) {
    if call(failure, || hook(failure)).is_some() {
        Unheard::heard(unheard);
    }
}

/// Calls a hook, and logs its panic, in which case the result is `None`.
fn call<R>(failure: &TaskFailure, hook: impl FnOnce() -> R) -> Option<R> {
    match contain(|| enter_by_hook(hook)) {
        Ok(returned) => Some(returned),
        Err(panic) => {
            log_panic(failure, &panic);
            None
        }
    }
}

/// Spawns an async hook, so that the list goes on meanwhile. A shutdown waits for it.
fn tell_async(
    runner: &Arc<Runner>,
    hook: &AsyncHook,
    failure: &TaskFailure,
    unheard: Option<Arc<Unheard>>,
) {
    let telling = Telling {
        unheard,
        _hold: runner.hold(),
    };
    let hook_future = call(failure, || hook(failure.clone()));
    let (Some(hook_future), Some(runtime)) = (hook_future, runner.executor.runtime()) else {
        return;
    };
    let failure = failure.clone();
    // Not in the `AbortRegistry`, because it may be reporting tasks that a shutdown aborts.
    let telling = runtime.spawn(async move {
        match AssertUnwindSafe(by_hook(hook_future)).catch_unwind().await {
            Ok(()) => Unheard::heard(telling.unheard.as_deref()),
            Err(payload) => log_panic(&failure, &Panicked::new(payload)),
        }
        drop(telling);
    });
    runner.dispatch.note_hook(telling);
}

/// An async hook that is being told. Dropped when it has ended, or cannot be told.
struct Telling {
    unheard: Option<Arc<Unheard>>,
    /// Keeps a shutdown waiting for the hook. Declared last, so that the failure is logged, and its span
    /// closes, before it is released.
    _hold: Hold,
}

/// A failure that is not logged, because hooks hear about it. Shared by the hooks that are told of it: when
/// the last of them has ended, and none has heard, it is logged after all. A hook has not heard if it panicked,
/// if there was no runtime for it, or if its runtime was shut down.
struct Unheard {
    failure: TaskFailure,
    span: Span,
    is_heard: AtomicBool,
}

impl Unheard {
    fn new(failure: &TaskFailure, span: &Span) -> Arc<Self> {
        Arc::new(Self {
            failure: failure.clone(),
            span: span.clone(),
            is_heard: AtomicBool::new(false),
        })
    }

    fn heard(unheard: Option<&Self>) {
        if let Some(unheard) = unheard {
            unheard.is_heard.store(true, Ordering::Release);
        }
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        if !*self.is_heard.get_mut() {
            log::failure(&self.failure, &self.span);
        }
    }
}

/// Logs the panic of a hook, with the task's name and id alone: showing the rest may be what made the hook
/// panic.
fn log_panic(failure: &TaskFailure, panic: &Panicked) {
    tracing::error!(
        target: FAILURE,
        {
            task.name = failure.task().name(),
            task.id = %failure.id(),
            panic = %OneLine(panic),
        },
        "the error hook panicked on a background task's failure"
    );
}
