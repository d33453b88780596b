//! A task that was never begun, kept in the report of its end.

use std::any::Any;
use std::sync::OnceLock;

use super::{BoxTask, Task};
use crate::contain::Contained;
use crate::sync::Mutex;

/// A task that no run has consumed. May be shared between threads although tasks need not be `Sync`: it is
/// given out only as a type that is.
pub(crate) struct UnrunTask {
    /// Until it is asked for by its type.
    boxed: Mutex<Option<BoxTask>>,
    given_out: OnceLock<Contained<Box<dyn Any + Send + Sync>>>,
}

impl UnrunTask {
    pub(crate) fn new(task: BoxTask) -> Self {
        Self {
            boxed: Mutex::new(Some(task)),
            given_out: OnceLock::new(),
        }
    }

    /// Returns the task itself, if it is a `T`.
    pub(crate) fn downcast_ref<T: Task + Send + Sync>(&self) -> Option<&T> {
        // Under the lock, so that two threads that ask at once are given the same.
        let mut boxed = self.boxed.lock();
        let is_it = |task: &mut BoxTask| task.downcast_ref::<T>().is_some();
        if let Some(task) = boxed.take_if(is_it).and_then(BoxTask::downcast::<T>) {
            let task: Box<dyn Any + Send + Sync> = Box::new(task);
            self.given_out.get_or_init(|| Contained::new(task));
        }
        drop(boxed);
        (**self.given_out.get()?).downcast_ref()
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::task::{IntoTask, TaskContext, TaskDef, TaskResult, named};

    struct Numbered(u32);

    impl Task for Numbered {
        const DEF: &'static TaskDef = &TaskDef::new("numbered");

        async fn run(self, _: TaskContext) -> TaskResult {
            Ok(())
        }
    }

    struct Other;

    impl Task for Other {
        const DEF: &'static TaskDef = &TaskDef::new("other");

        async fn run(self, _: TaskContext) -> TaskResult {
            Ok(())
        }
    }

    #[test]
    fn a_task_is_given_out_as_its_own_type_alone_and_again() {
        let unrun = UnrunTask::new(Numbered(7).into_task());
        assert!(unrun.downcast_ref::<Other>().is_none());
        let first = unrun.downcast_ref::<Numbered>().unwrap();
        let second = unrun.downcast_ref::<Numbered>().unwrap();
        assert_eq!((first.0, second.0), (7, 7));
        assert!(std::ptr::eq(first, second));
        assert!(unrun.downcast_ref::<Other>().is_none());
    }

    #[test]
    fn a_one_off_task_is_given_out_as_nothing() {
        let unrun = UnrunTask::new(named("one-off", async {}));
        assert!(unrun.downcast_ref::<Numbered>().is_none());
    }
}
