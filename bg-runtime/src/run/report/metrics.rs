//! The sink for operators, who see all tasks together: the instruments of the feature `metrics`.
//!
//! Without the feature the same functions do nothing, so that their callers need no `cfg`.

#[cfg(all(feature = "metrics", feature = "durable"))]
pub(in crate::run) use self::facade::{SHOWS_STORES, show_store};
#[cfg(feature = "metrics")]
pub(in crate::run) use self::facade::{describe, record};
#[cfg(all(not(feature = "metrics"), feature = "durable"))]
pub(in crate::run) use self::nothing::{SHOWS_STORES, show_store};
#[cfg(not(feature = "metrics"))]
pub(in crate::run) use self::nothing::{describe, record};

#[cfg(feature = "metrics")]
mod facade {
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use metrics::{
        Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
    };

    #[cfg(feature = "durable")]
    use std::collections::BTreeSet;

    #[cfg(feature = "durable")]
    use crate::durable::{StoredState, Tally};
    use crate::run::report::{Event, Step};
    #[cfg(feature = "durable")]
    use crate::sync::Mutex;

    const TASKS: &str = "bg_tasks_total";
    const DURATION: &str = "bg_task_duration_seconds";
    const QUEUE: &str = "bg_task_queue_seconds";
    const PENDING: &str = "bg_tasks_pending";
    #[cfg(feature = "durable")]
    const STORED: &str = "bg_stored";
    #[cfg(feature = "durable")]
    const OLDEST: &str = "bg_stored_oldest_seconds";

    /// Whether anybody is shown what is stored.
    #[cfg(feature = "durable")]
    pub(in crate::run) const SHOWS_STORES: bool = true;

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
        #[cfg(feature = "durable")]
        {
            describe_gauge!(
                STORED,
                Unit::Count,
                "Durable tasks in the store, by queue and state"
            );
            describe_gauge!(
                OLDEST,
                Unit::Seconds,
                "How long the oldest task of a queue has been due and not taken"
            );
        }
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

    /// Shows what is stored. A queue that has no task in a state any more shows zero there once it was shown.
    #[cfg(feature = "durable")]
    pub(in crate::run) fn show_store(tallies: &[Tally], oldest: &[(String, Duration)]) {
        static SHOWN: Mutex<BTreeSet<(String, StoredState)>> = Mutex::new(BTreeSet::new());
        let mut shown = SHOWN.lock();
        shown.extend(
            tallies
                .iter()
                .map(|tally| (tally.queue.clone(), tally.state)),
        );
        for (queue, state) in &*shown {
            let tally = tallies
                .iter()
                .find(|tally| tally.queue == *queue && tally.state == *state);
            let tasks = tally.map_or(0, |tally| tally.tasks);
            gauge!(STORED, "queue" => queue.clone(), "state" => state.to_string())
                .set(tasks as f64);
            let waits = oldest.iter().find(|(of, _)| of == queue);
            let waits = waits.map_or(Duration::ZERO, |(_, waits)| *waits);
            gauge!(OLDEST, "queue" => queue.clone()).set(waits.as_secs_f64());
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

    #[cfg(feature = "durable")]
    pub(in crate::run) const SHOWS_STORES: bool = false;

    #[cfg(feature = "durable")]
    pub(in crate::run) fn show_store(
        _: &[crate::durable::Tally],
        _: &[(String, std::time::Duration)],
    ) {
    }
}
