//! What a failure keeps from running.
//!
//! Many failures may keep the same tasks back: those behind a concurrent list are kept back by each of
//! its tasks that fails. So failures share one row of them, and each has the parts of the row that are
//! its own.

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::TaskInfo;

/// The tasks from one place of a list to its end, in the order in which they would run. Each has a
/// number.
#[derive(Clone)]
pub(crate) struct Row {
    /// The number of the first task.
    first: u32,
    tasks: Arc<[TaskInfo]>,
}

impl Row {
    pub(crate) fn new(first: u32, tasks: Vec<TaskInfo>) -> Self {
        let tasks = tasks.into();
        Self { first, tasks }
    }

    fn part(&self, numbers: &Range<u32>) -> &[TaskInfo] {
        let place = |number: u32| (number - self.first) as usize;
        &self.tasks[place(numbers.start)..place(numbers.end)]
    }
}

/// Numbers of tasks, in ascending order. One range of them, unless a list that goes on after failures is
/// inside one that stops.
#[derive(Clone, Default)]
pub(crate) struct KeptBack {
    numbers: Range<u32>,
    then: Option<Arc<Self>>,
}

impl KeptBack {
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Returns these numbers with those of `range`, which are lower, before them.
    pub(crate) fn after(&self, range: Range<u32>) -> Self {
        if range.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return Self {
                numbers: range,
                then: None,
            };
        }
        if range.end == self.numbers.start {
            return Self {
                numbers: range.start..self.numbers.end,
                then: self.then.clone(),
            };
        }
        Self {
            numbers: range,
            then: Some(Arc::new(self.clone())),
        }
    }
}

/// Drops the ranges in a loop, because there may be many.
impl Drop for KeptBack {
    fn drop(&mut self) {
        let mut next = self.then.take();
        while let Some(mut kept_back) = next.and_then(Arc::into_inner) {
            next = kept_back.then.take();
        }
    }
}

/// The tasks that do not run because of a failure.
#[derive(Default)]
pub(crate) struct Skipped(Option<Box<Parts>>);

struct Parts {
    row: Row,
    kept_back: KeptBack,
    /// Of more than one part, all of them, once they are asked for.
    joined: OnceLock<Box<[TaskInfo]>>,
}

impl Skipped {
    pub(crate) fn new(row: Row, kept_back: KeptBack) -> Self {
        Self((!kept_back.is_empty()).then(|| {
            Box::new(Parts {
                row,
                kept_back,
                joined: OnceLock::new(),
            })
        }))
    }

    pub(crate) fn as_slice(&self) -> &[TaskInfo] {
        self.0.as_ref().map_or(&[], |parts| parts.as_slice())
    }
}

impl Parts {
    fn as_slice(&self) -> &[TaskInfo] {
        let Self { row, kept_back, .. } = self;
        if kept_back.then.is_none() {
            return row.part(&kept_back.numbers);
        }
        self.joined.get_or_init(|| {
            let parts = std::iter::successors(Some(kept_back), |part| part.then.as_deref());
            parts
                .flat_map(|part| row.part(&part.numbers))
                .copied()
                .collect()
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::task::TaskDef;

    static A: TaskDef = TaskDef::new("a");
    static B: TaskDef = TaskDef::new("b");
    static C: TaskDef = TaskDef::new("c");

    fn row() -> Row {
        Row::new(7, [&A, &B, &C].map(TaskInfo::declared).into())
    }

    fn names(kept_back: KeptBack) -> Vec<&'static str> {
        let skipped = Skipped::new(row(), kept_back);
        skipped.as_slice().iter().map(TaskInfo::name).collect()
    }

    #[test]
    fn parts_that_touch_become_one() {
        let kept_back = KeptBack::default().after(9..10).after(8..9).after(7..7);
        assert!(kept_back.then.is_none());
        assert_eq!(names(kept_back), ["b", "c"]);
    }

    #[test]
    fn parts_that_are_apart_are_joined_in_order() {
        assert_eq!(
            names(KeptBack::default().after(9..10).after(7..8)),
            ["a", "c"]
        );
        assert!(names(KeptBack::default()).is_empty());
    }

    #[test]
    fn any_number_of_parts_is_dropped() {
        let apart = |kept_back: KeptBack, number: u32| kept_back.after(2 * number..2 * number + 1);
        drop((0..100_000).rev().fold(KeptBack::default(), apart));
    }
}
