use std::panic::Location;

use futures_util::future::BoxFuture;

use super::blocking::blocking;
use super::boxed::{BoxTask, Runnable, TAKEN};
use super::context::TaskContext;
use super::info::TaskInfo;
use super::result::{IntoTaskResult, TaskResult};

/// Creates a task from a future, for work that needs no declaration.
///
/// The task is named, reported and drained like any other. It runs once, even with retries. The file and
/// line shown in reports are those of this call.
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
pub fn named<F>(name: &'static str, future: F) -> BoxTask
where
    F: Future<Output: IntoTaskResult> + Send + 'static,
{
    let info = TaskInfo::one_off(name, Location::caller(), false);
    BoxTask::new(info, OneOff(Some(future)))
}

/// Creates a task from a closure, which runs on tokio's blocking pool. See [`named`].
#[track_caller]
pub fn named_blocking<F, R>(name: &'static str, work: F) -> BoxTask
where
    F: FnOnce() -> R + Send + 'static,
    R: IntoTaskResult,
{
    let info = TaskInfo::one_off(name, Location::caller(), true);
    BoxTask::new(info, OneOffBlocking(Some(work)))
}

struct OneOff<F>(Option<F>);

impl<F> Runnable for OneOff<F>
where
    F: Future<Output: IntoTaskResult> + Send + 'static,
{
    fn run(&mut self, _: TaskContext) -> BoxFuture<'static, TaskResult> {
        let future = self.0.take().expect(TAKEN);
        Box::pin(async move { future.await.into_task_result() })
    }
}

struct OneOffBlocking<F>(Option<F>);

impl<F, R> Runnable for OneOffBlocking<F>
where
    F: FnOnce() -> R + Send + 'static,
    R: IntoTaskResult,
{
    fn run(&mut self, _: TaskContext) -> BoxFuture<'static, TaskResult> {
        let work = self.0.take().expect(TAKEN);
        Box::pin(blocking(move || work().into_task_result()))
    }
}
