//! Who is told of a failure: the task's own hook, then those of the `Background`, or else the log.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tracing::{Level, Span};

use super::Runner;
use super::failure::{Panicked, TaskFailure};
use super::log::log;
use crate::one_line::OneLine;
use crate::task::TaskInfo;

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
        !self.hooks.0.is_empty() || own_hook(task).is_some() || tracing::enabled!(Level::ERROR)
    }

    pub(super) fn tell(self: &Arc<Self>, failure: &TaskFailure, span: &Span) {
        if let Some(hook) = own_hook(failure.task()) {
            guarded(failure, || hook(failure));
        }
        if self.hooks.0.is_empty() {
            log(failure, span);
        }
        for hook in &self.hooks.0 {
            match hook {
                Hook::Sync(hook) => guarded(failure, || hook(failure)),
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
        let Some(runtime) = self.runtime() else {
            tracing::error!("no tokio runtime to run the error hook on");
            log(failure, span);
            return;
        };
        let mut told = None;
        guarded(failure, || told = Some(hook(failure.clone())));
        let Some(told) = told else { return };
        let (hold, failure) = (self.hold(), failure.clone());
        // Not stopped with the tasks: it may be telling of their abort.
        runtime.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(told).catch_unwind().await {
                log_panic(&failure, &*panic);
            }
            drop(hold);
        });
    }
}

fn own_hook(task: &TaskInfo) -> Option<fn(&TaskFailure)> {
    task.def()?.own_hook()
}

fn guarded(failure: &TaskFailure, hook: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(hook)) {
        log_panic(failure, &*panic);
    }
}

fn log_panic(failure: &TaskFailure, panic: &(dyn std::any::Any + Send)) {
    tracing::error!(
        panic = %Panicked::new(panic),
        failure = %OneLine(failure),
        "the error hook panicked while it was told of a background task's failure"
    );
}
