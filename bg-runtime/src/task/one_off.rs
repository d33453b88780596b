use std::any::Any;
use std::panic::Location;

use futures_util::future::BoxFuture;

use super::context::TaskContext;
use super::definition::TaskInfo;
use super::outcome::{IntoTaskResult, TaskResult, blocking};
use crate::collect::{ErasedTask, QueuedTask};

/// A task made from a future, for work that needs no declaration.
///
/// It is named, reported and drained like any other. The place shown in reports is the place of
/// this call.
///
/// ```
/// use bg_runtime::{Background, named};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let handle = Background::global().spawn(named("mailer.ping", async move {
///     // ..
/// }));
/// handle.await?;
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn named<F>(name: &'static str, future: F) -> QueuedTask
where
    F: Future<Output: IntoTaskResult> + Send + 'static,
{
    let info = TaskInfo::one_off(name, Location::caller(), false);
    QueuedTask::new(info, OneOff(future))
}

/// A task made from a closure, which runs on tokio's blocking pool. See [`named`].
#[track_caller]
pub fn named_blocking<F, R>(name: &'static str, work: F) -> QueuedTask
where
    F: FnOnce() -> R + Send + 'static,
    R: IntoTaskResult,
{
    let info = TaskInfo::one_off(name, Location::caller(), true);
    QueuedTask::new(info, OneOffBlocking(work))
}

struct OneOff<F>(F);

impl<F> ErasedTask for OneOff<F>
where
    F: Future<Output: IntoTaskResult> + Send + 'static,
{
    fn run(self: Box<Self>, _: TaskContext) -> BoxFuture<'static, TaskResult> {
        Box::pin(async move { self.0.await.into_task_result() })
    }

    fn arguments(&self) -> Option<String> {
        None
    }

    fn again(&self) -> Option<Box<dyn ErasedTask>> {
        None
    }

    fn key(&self) -> Option<String> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        &self.0
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

struct OneOffBlocking<F>(F);

impl<F, R> ErasedTask for OneOffBlocking<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: IntoTaskResult,
{
    fn run(self: Box<Self>, _: TaskContext) -> BoxFuture<'static, TaskResult> {
        Box::pin(blocking(move || self.0().into_task_result()))
    }

    fn arguments(&self) -> Option<String> {
        None
    }

    fn again(&self) -> Option<Box<dyn ErasedTask>> {
        None
    }

    fn key(&self) -> Option<String> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        &self.0
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}
