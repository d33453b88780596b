//! What operators see of all tasks together: the instruments of the feature `metrics`.
//!
//! Without the feature the same names stand for nothing, so that the runner need not know.

#[cfg(feature = "metrics")]
pub(super) use self::facade::{Queued, describe, pending_changed, run_ended, task_ended};
#[cfg(not(feature = "metrics"))]
pub(super) use self::nothing::{Queued, describe, pending_changed, run_ended, task_ended};

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use metrics::{
        Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };
    use tokio::time::Instant;

    const TASKS: &str = "bg_tasks_total";
    const DURATION: &str = "bg_task_duration_seconds";
    const QUEUE: &str = "bg_task_queue_seconds";
    const PENDING: &str = "bg_tasks_pending";

    /// What the gauge shows: the tasks that wait in every `Background` of the process, because there
    /// is but one gauge for all.
    static ALL_PENDING: AtomicI64 = AtomicI64::new(0);

    /// Tells the recorder, if one is installed by now, what the instruments are.
    pub(in crate::run) fn describe() {
        describe_counter!(TASKS, Unit::Count, "Background tasks that have ended");
        describe_histogram!(
            DURATION,
            Unit::Seconds,
            "How long one run of a background task took"
        );
        describe_histogram!(
            QUEUE,
            Unit::Seconds,
            "How long a background task waited from being queued to its first run"
        );
        describe_gauge!(PENDING, Unit::Count, "Background tasks that wait to run");
        show_pending();
    }

    /// When a task was queued.
    #[derive(Clone, Copy)]
    pub(in crate::run) struct Queued(Instant);

    impl Queued {
        pub(in crate::run) fn now() -> Self {
            Self(Instant::now())
        }

        /// The first run begins.
        pub(in crate::run) fn started(self) {
            histogram!(QUEUE).record(self.0.elapsed());
        }
    }

    /// A run is over, however it ended; `None` where there was none.
    pub(in crate::run) fn run_ended(task: &'static str, took: impl FnOnce() -> Option<Duration>) {
        if let Some(took) = took() {
            histogram!(DURATION, "task" => task).record(took);
        }
    }

    /// A task has its outcome.
    pub(in crate::run) fn task_ended(task: &'static str, outcome: &'static str) {
        counter!(TASKS, "task" => task, "outcome" => outcome).increment(1);
    }

    /// The books of one `Background` have changed.
    pub(in crate::run) fn pending_changed(before: u64, after: u64) {
        if before != after {
            ALL_PENDING.fetch_add(after as i64 - before as i64, Ordering::SeqCst);
            show_pending();
        }
    }

    /// Sets the gauge, rather than moving it, so that it is right for a recorder that came late or
    /// has forgotten it. Whoever sets it last has looked once more, and found nothing newer.
    fn show_pending() {
        loop {
            let pending = ALL_PENDING.load(Ordering::SeqCst);
            // Changes arrive in any order: that a task left may be known before it came.
            gauge!(PENDING).set(pending.max(0) as f64);
            if ALL_PENDING.load(Ordering::SeqCst) == pending {
                return;
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod nothing {
    use std::time::Duration;

    pub(in crate::run) fn describe() {}

    #[derive(Clone, Copy)]
    pub(in crate::run) struct Queued;

    impl Queued {
        pub(in crate::run) fn now() -> Self {
            Self
        }

        pub(in crate::run) fn started(self) {}
    }

    pub(in crate::run) fn run_ended(_task: &'static str, _took: impl FnOnce() -> Option<Duration>) {
    }

    pub(in crate::run) fn task_ended(_task: &'static str, _outcome: &'static str) {}

    pub(in crate::run) fn pending_changed(_before: u64, _after: u64) {}
}
