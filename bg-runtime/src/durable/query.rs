use super::status::{StoredState, TaskStatus};
use crate::task::TaskId;

/// Which stored tasks are meant. All that is set has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) id: Option<TaskId>,
    pub(crate) state: Option<StoredState>,
    /// A whole name, or the begin of one and `*`.
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) key: Option<String>,
}

/// Where a page of a list begins: behind this row. Engines number their rows as they are stored.
pub(crate) type Row = i64;

/// A part of a list, newest first.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) tasks: Vec<TaskStatus>,
    /// Where the next page begins. `None` if this is the last.
    pub(crate) next: Option<Row>,
}

/// What can be asked of a stored task from any process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// To end it, or to tell its worker to.
    Cancel,
    /// To run it again, now: one that has ended, or waits for its next run.
    Retry,
    /// To forget it. Running ones stay.
    Delete,
}

/// What became of an [`Order`] for one task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obeyed {
    /// It is done.
    Done,
    /// The worker that runs the task has been told.
    Told,
    /// The task is not in a state for it: it has ended, or it runs.
    TooLate,
    /// There is no such task.
    Unknown,
}
