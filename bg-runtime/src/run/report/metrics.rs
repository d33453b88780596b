//! The sink of operators, who see all tasks together: the instruments of the feature `metrics`.
//!
//! Without the feature the same names do nothing, so that the runner need not ask.

#[cfg(feature = "metrics")]
pub(in crate::run) use self::facade::{describe, record};
#[cfg(not(feature = "metrics"))]
pub(in crate::run) use self::nothing::{describe, record};

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use metrics::{
        Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };

    use crate::run::report::{Event, Step};

    const TASKS: &str = "bg_tasks_total";
    const DURATION: &str = "bg_task_duration_seconds";
    const QUEUE: &str = "bg_task_queue_seconds";
    const PENDING: &str = "bg_tasks_pending";

    /// What the gauge shows: the tasks that wait in every `Background` of the process, because there
    /// is one gauge for all of them.
    static ALL_PENDING: AtomicI64 = AtomicI64::new(0);

    /// Describes the instruments to the recorder, if one is installed by now.
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

    pub(in crate::run) fn record(event: &Event<'_>) {
        let task = event.task.task.name();
        match event.step {
            Step::Queued => change_pending(1),
            Step::Started { attempt, queued_at } => {
                change_pending(-1);
                if attempt == 1 {
                    histogram!(QUEUE).record(queued_at.elapsed());
                }
            }
            Step::RunFailed { failure } => {
                change_pending(1);
                run_ended(task, failure.elapsed());
            }
            Step::Ended {
                outcome,
                ran,
                was_waiting,
                ..
            } => {
                if was_waiting {
                    change_pending(-1);
                }
                if let Some(took) = ran.elapsed() {
                    run_ended(task, took);
                }
                counter!(TASKS, "task" => task, "outcome" => outcome).increment(1);
            }
        }
    }

    fn run_ended(task: &'static str, took: Duration) {
        histogram!(DURATION, "task" => task).record(took);
    }

    fn change_pending(by: i64) {
        ALL_PENDING.fetch_add(by, Ordering::SeqCst);
        show_pending();
    }

    /// Sets the gauge, rather than moving it, so that it is right for a recorder that was installed
    /// late or has forgotten it. The thread that sets it last has read the count once more, and found
    /// nothing newer.
    fn show_pending() {
        loop {
            let pending = ALL_PENDING.load(Ordering::SeqCst);
            // Events of one task may come from two threads, and so in any order: that it ended before
            // that it was queued.
            gauge!(PENDING).set(pending.max(0) as f64);
            if ALL_PENDING.load(Ordering::SeqCst) == pending {
                return;
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod nothing {
    use crate::run::report::Event;

    pub(in crate::run) fn describe() {}

    pub(in crate::run) fn record(_event: &Event<'_>) {}
}
