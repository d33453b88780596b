use super::rate::Rate;

/// The limits on the tasks of one name. `None` means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TaskLimits {
    /// The number of tasks that may run at once.
    pub concurrent: Option<usize>,
    /// The number of tasks with the same key that may run at once.
    pub per_key: Option<usize>,
    /// The number of tasks with the same key that may wait to run.
    pub pending_per_key: Option<usize>,
    /// The number of tasks with the same key that may wait and run together.
    pub unfinished_per_key: Option<usize>,
    /// What happens to a task beyond one of the last two.
    pub on_full: OnFull,
    /// How many runs may begin in any span of time, for each key if the tasks have one.
    pub rate: Option<Rate>,
}

impl TaskLimits {
    pub(super) const NONE: Self = Self {
        concurrent: None,
        per_key: None,
        pending_per_key: None,
        unfinished_per_key: None,
        on_full: OnFull::Reject,
        rate: None,
    };

    /// Returns whether a task's key decides about anything.
    pub(crate) fn use_key(&self) -> bool {
        self.per_key.is_some()
            || self.pending_per_key.is_some()
            || self.unfinished_per_key.is_some()
            || self.rate.is_some()
    }
}

/// Chooses what happens to a task for which [`max_pending_per_key`](crate::TaskDef::max_pending_per_key) or
/// [`max_unfinished_per_key`](crate::TaskDef::max_unfinished_per_key) leaves no room.
///
/// A task that is replaced or ignored counts as skipped, and is no failure: its span has an event of
/// level `DEBUG`, and neither error hooks nor the log of failures hear about it. The tasks behind it in its
/// list run. A handle resolves to a failure of kind [`Skipped`](crate::FailureKind::Skipped), with the
/// [`SkipReason`](crate::SkipReason) as its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum OnFull {
    /// The new task is refused, with [`FailureKind::Rejected`](crate::FailureKind::Rejected).
    #[default]
    Reject,
    /// The oldest task of the key that waits, for its first run or another, is skipped as
    /// [`Replaced`](crate::SkipReason::Replaced), so that the newest counts. If none waits, because all
    /// of them run, the new one is refused.
    Replace,
    /// The new task is skipped as [`Duplicate`](crate::SkipReason::Duplicate).
    Ignore,
}
