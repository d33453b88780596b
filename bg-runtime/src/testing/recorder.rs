use std::fmt;
use std::ops::Deref;

use super::message::{Mismatch, call};
use crate::run::{Dispatch, Recording, Settings, replay};
use crate::task::{Task, render};
use crate::{Background, BackgroundBuilder, BuildError, TaskFailure};
use std::sync::Arc;

/// A [`Background`] for tests, which records tasks instead of running them.
///
/// It derefs to a `Background`: put [`recorder.layer()`](Background::layer) on the app under test, give
/// it a clone (`recorder.clone()` is one of the `Background`), or [`spawn`](Background::spawn) on it. A
/// task is recorded when it would run: one that is spawned at once, one of a request when its response
/// is there, if the response's status lets it run.
///
/// Dropping a recorder gives up what it has recorded. Nobody is told of that; the tasks are counted as
/// aborted, and their handles say so. What is queued on a clone later has the same end.
///
/// See the [module](crate::testing) for an example, and for what is different from a `Background`.
#[must_use = "a recorder that is dropped records nothing any more"]
pub struct Recorder {
    background: Background,
    recording: Arc<Recording>,
}

impl Recorder {
    /// A recorder without states, error hooks and limits.
    ///
    /// Tasks that need a state are recorded like any other. They fail when they are run.
    pub fn new() -> Self {
        let recording = Arc::<Recording>::default();
        let background = Background::new(Settings {
            dispatch: Dispatch::Record(recording.clone()),
            ..Settings::default()
        });
        Self {
            background,
            recording,
        }
    }

    /// A recorder with the states, error hooks and limits of a builder, most often that of the
    /// application. `isolated` and `Overflow::Wait` change nothing: no thread is started, and no response
    /// waits for room.
    ///
    /// # Errors
    ///
    /// Those of [`BackgroundBuilder::build`], missing states among them.
    pub fn from_builder(builder: BackgroundBuilder) -> Result<Self, BuildError> {
        let recording = Arc::<Recording>::default();
        let background = builder.build_recording(recording.clone())?;
        Ok(Self {
            background,
            recording,
        })
    }

    /// The tasks of type `T` that are recorded, in the order in which they would run.
    #[must_use]
    pub fn queued<T: Task + Clone>(&self) -> Vec<T> {
        let mut tasks = Vec::new();
        self.recording
            .visit(&mut |task| tasks.extend(task.downcast_ref::<T>().cloned()));
        tasks
    }

    /// Takes the tasks of type `T` out of the recording, in the order in which they would run. Other
    /// tasks stay, and [`run_all`](Self::run_all) does not run those taken.
    ///
    /// For tasks that are not `Clone`, and for what is queued on the way to what a test is about. The
    /// tasks are counted as aborted.
    pub fn take<T: Task>(&self) -> Vec<T> {
        self.recording.take()
    }

    /// The names of all tasks that are recorded, in the order in which they would run. One-off tasks
    /// ([`named`](crate::named)) have nothing else to know them by.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.recording
            .visit(&mut |task| names.push(task.info().name()));
        names
    }

    /// Runs what is recorded, and what that queues, until nothing is left. Gives the failures.
    ///
    /// The tasks run where this is awaited, by the rules of a `Background`: the lists of a request in
    /// their order, with the states, retries, timeouts and error hooks that there are. Requests and
    /// spawned tasks have their turn in the order in which they were recorded, one after the other; what
    /// a task queues is last in line. Only what a task spawns may run earlier, as soon as the task waits
    /// for something, which may be its handle. Delays and the waits between runs are left out; a task's
    /// own waits are not, nor are timeouts.
    ///
    /// What is returned are the outcomes that are not a success, as error hooks are told of them, whether
    /// or not there is a hook: of a task that runs again after a failure, only the last one. Hooks have
    /// been told of everything by then, async ones included.
    ///
    /// Needs a tokio runtime. Never ends while tasks go on queuing tasks. Where the future is dropped
    /// before it is ready, the tasks that were running are aborted, and the others stay recorded.
    pub async fn run_all(&self) -> Vec<TaskFailure> {
        replay(self.background.runner(), &self.recording).await
    }

    /// Asserts that a task equal to this one is recorded.
    ///
    /// # Panics
    ///
    /// If there is none. The message shows it beside what is recorded, and says which tasks of its type
    /// were skipped, and why.
    #[track_caller]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "reads like the line that queued the task"
    )]
    pub fn assert_queued<T: Task + PartialEq>(&self, task: T) {
        let mut found = false;
        self.recording
            .visit(&mut |queued| found |= queued.downcast_ref::<T>() == Some(&task));
        if found {
            return;
        }
        let arguments = task.arguments().map(|arguments| render(&arguments));
        let expected = call(T::DEF.name(), arguments.as_deref());
        let mut mismatch = self.mismatch("no such task was queued", expected);
        mismatch.skipped = self.skipped::<T>();
        mismatch.note = self.note(&mismatch);
        panic!("{mismatch}");
    }

    /// Asserts that so many tasks of type `T` are recorded, whatever their arguments.
    ///
    /// # Panics
    ///
    /// If there are more or fewer. The message shows what is recorded, and says which tasks of type `T`
    /// were skipped, and why.
    #[track_caller]
    pub fn assert_queued_times<T: Task>(&self, times: usize) {
        let mut found = 0;
        self.recording
            .visit(&mut |queued| found += usize::from(queued.downcast_ref::<T>().is_some()));
        if found == times {
            return;
        }
        let expected = format!("{times} × {}", T::DEF.name());
        let mut mismatch = self.mismatch("a different number of these tasks was queued", expected);
        mismatch.skipped = self.skipped::<T>();
        mismatch.note = self.note(&mismatch);
        panic!("{mismatch}");
    }

    /// Asserts that no task of type `T` is recorded, whatever its arguments.
    ///
    /// # Panics
    ///
    /// If there is one. The message shows what is recorded.
    #[track_caller]
    pub fn assert_not_queued<T: Task>(&self) {
        let mut found = false;
        self.recording
            .visit(&mut |queued| found |= queued.downcast_ref::<T>().is_some());
        if found {
            let expected = format!("no {}", T::DEF.name());
            panic!("{}", self.mismatch("such a task was queued", expected));
        }
    }

    /// Asserts that no task is recorded.
    ///
    /// # Panics
    ///
    /// If there is one. The message shows what is recorded.
    #[track_caller]
    pub fn assert_nothing_queued(&self) {
        if !self.names().is_empty() {
            panic!(
                "{}",
                self.mismatch("tasks were queued", "nothing".to_owned())
            );
        }
    }

    fn mismatch(&self, problem: &'static str, expected: String) -> Mismatch {
        let mut queued = Vec::new();
        self.recording.visit(&mut |task| {
            queued.push(call(task.info().name(), task.arguments().as_deref()));
        });
        Mismatch {
            problem,
            expected,
            queued,
            skipped: Vec::new(),
            note: None,
        }
    }

    fn skipped<T: Task>(&self) -> Vec<String> {
        let mut skipped = Vec::new();
        self.recording.visit_skipped::<T>(&mut |task| {
            let call = call(task.info.name(), task.arguments.as_deref());
            skipped.push(format!("{call}: {}", task.reason));
        });
        skipped
    }

    /// What somebody who wonders at the message may have overlooked.
    fn note(&self, mismatch: &Mismatch) -> Option<&'static str> {
        if mismatch.queued.contains(&mismatch.expected) {
            Some("they differ in what is not shown, such as a secret")
        } else if self.stats().accepted == 0 {
            Some("the recorder has seen no task at all: is `recorder.layer()` on the app?")
        } else {
            None
        }
    }
}

impl Deref for Recorder {
    type Target = Background;

    fn deref(&self) -> &Background {
        &self.background
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.recording.close();
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("queued", &self.names())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::{TaskContext, TaskDef, TaskResult};

    struct Fails {
        id: u32,
    }

    impl Task for Fails {
        const DEF: &'static TaskDef = &TaskDef::new("fails");

        async fn run(self, _: TaskContext) -> TaskResult {
            Err(format!("no luck with {}", self.id).into())
        }

        fn arguments(&self) -> Option<impl Debug> {
            Some(self.id)
        }
    }

    #[tokio::test]
    async fn run_all_returns_the_arguments_without_a_hook_or_a_log() {
        let recorder = Recorder::new();
        recorder.spawn(Fails { id: 7 });
        let failures = recorder.run_all().await;
        assert_eq!(failures[0].arguments().as_deref(), Some("7"));
    }
}
