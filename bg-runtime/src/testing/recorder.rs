use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::message::{Mismatch, call};
use crate::run::{Dispatch, Limits, Recording, Settings, replay};
use crate::task::{Task, render};
use crate::{Background, BackgroundBuilder, BuildError, TaskFailure};

/// A [`Background`] for tests, which records tasks instead of running them.
///
/// A recorder derefs to a `Background`: put [`recorder.layer()`](Background::layer) on the app under
/// test, give the app a clone (`recorder.clone()` is a `Background`), or call
/// [`spawn`](Background::spawn). A spawned task is recorded at once, a request's task when its response
/// is ready, if it is to run after that response.
///
/// Dropping a recorder aborts the tasks that it has recorded, and those that are queued on a clone
/// later. They are counted as aborted, and their handles resolve to that, but error hooks and the log
/// do not hear about it.
///
/// See the [module](crate::testing) for an example, and for what is different from a `Background`.
#[must_use = "a recorder that is dropped records nothing any more"]
pub struct Recorder {
    background: Background,
    recording: Arc<Recording>,
}

impl Recorder {
    /// Creates a recorder without states, error hooks and limits.
    ///
    /// Tasks that need a state are recorded like any other, and fail when they are run.
    pub fn new() -> Self {
        let recording = Arc::<Recording>::default();
        let background = Background::with_settings(Settings {
            limits: Limits::default().without_waiting(),
            dispatch: Dispatch::Record(recording.clone()),
            ..Settings::default()
        });
        Self {
            background,
            recording,
        }
    }

    /// Creates a recorder with the states, error hooks and limits of a builder, most often the
    /// application's. `isolated` and `Overflow::Wait` have no effect: no thread is started, and no
    /// response waits for room.
    ///
    /// A recorded task counts as one that waits, so limits per key refuse, replace and ignore those that
    /// they would if none of these tasks had begun.
    ///
    /// # Errors
    ///
    /// Those of [`BackgroundBuilder::build`], including missing states.
    pub fn from_builder(builder: BackgroundBuilder) -> Result<Self, BuildError> {
        let recording = Arc::<Recording>::default();
        let background = builder.build_recording(recording.clone())?;
        Ok(Self {
            background,
            recording,
        })
    }

    /// Returns clones of the recorded tasks of type `T`, in the order in which they would run.
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
    /// For tasks that are not `Clone`, and for tasks that a test queues only on its way to others. The
    /// tasks are counted as aborted.
    pub fn take<T: Task>(&self) -> Vec<T> {
        self.recording.take()
    }

    /// Returns the names of all recorded tasks, in the order in which they would run. One-off tasks
    /// ([`named`](crate::named)) can be told apart only by their names.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        self.recording
            .visit(&mut |task| names.push(task.info().name()));
        names
    }

    /// Runs the recorded tasks, and those that they queue, until none is left. Returns the failures.
    ///
    /// The tasks run where this is awaited, by the rules of a `Background`: the lists of a request in
    /// their order, with the recorder's states and error hooks, and with retries and timeouts. Requests
    /// and spawned tasks take their turns in the order in which they were recorded, one after the
    /// other; tasks that a task queues come last. Only a task that another one spawns may run earlier,
    /// while the other waits for something, such as its handle. Delays, the waits between runs and those
    /// for a rate are left out; a task's own waits are not, nor are timeouts.
    ///
    /// The returned failures are those that error hooks receive, even if there is no hook, but of a task
    /// that runs again after a failure only the last one. All hooks have ended by then, including async
    /// ones.
    ///
    /// Needs a tokio runtime. Never ends while tasks go on queuing tasks. If the future is dropped
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

    /// Asserts that exactly `times` tasks of type `T` are recorded, with any arguments.
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

    /// Asserts that no task of type `T` is recorded, with any arguments.
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

    /// Returns a hint for a message that may be hard to explain otherwise.
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
        // Breaks the ring of `Arc`s that `run/dispatch/recording.rs` describes.
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
