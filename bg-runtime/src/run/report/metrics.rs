//! The sink for operators, who see all tasks together: the instruments of the feature `metrics`.
//!
//! Without the feature the same functions do nothing, so that their callers need no `cfg`.

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

    /// The value of the gauge: the number of tasks that wait in all `Background`s of the process, which
    /// share one gauge.
    static ALL_PENDING: AtomicI64 = AtomicI64::new(0);

    /// Describes the instruments to the recorder, if one is installed already.
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
            Step::Started {
                attempt,
                waiting_since,
            } => {
                change_pending(-1);
                if attempt == 1 {
                    histogram!(QUEUE).record(waiting_since.elapsed());
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

    /// Sets the gauge rather than incrementing it, so that it is right for a recorder that was installed
    /// late or has forgotten it. Each thread reads the count again after setting the gauge, so whichever
    /// thread sets it last sets the latest count.
    fn show_pending() {
        loop {
            let pending = ALL_PENDING.load(Ordering::SeqCst);
            // Below zero for a moment, if two threads report the steps of one task in another order: a
            // handle or a shutdown may report the end of a task that waits again before its run reports
            // that it failed.
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
