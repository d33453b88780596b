use std::fmt;

/// A snapshot of how many tasks are in each state.
///
/// `accepted = pending + running + completed + failed + skipped + aborted + returned` holds in every snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Tasks ever queued: on a request, with a response, or spawned.
    pub accepted: u64,
    /// Tasks that wait: for their response to be sent, for their turn, or for another run.
    pub pending: u64,
    /// Tasks that are running.
    pub running: u64,
    /// Tasks that succeeded.
    pub completed: u64,
    /// Tasks whose last run ended with an error, a panic or a timeout.
    pub failed: u64,
    /// Tasks that did not run, for a [reason](crate::SkipReason), because a limit was reached, or because
    /// they came between a drain and the next [`serve`](crate::Background::serve).
    pub skipped: u64,
    /// Tasks that were stopped, or not started, by a shutdown, by their handle, or because the runtime
    /// that they were to run on is gone.
    pub aborted: u64,
    /// Runs of durable tasks after which the task went back to its store: because it will run again, or because this
    /// process stops. Each run of a durable task is counted as accepted when this process takes it from the store.
    pub returned: u64,
    /// Runs after a task's first, of all tasks together.
    pub retries: u64,
    /// Durable tasks that the store took from here. They count as accepted where they run.
    pub stored: u64,
}

impl Stats {
    /// Returns what has been counted since `earlier`, with the tasks that wait and run now.
    ///
    /// No task waited or ran at that moment, so the counts of the difference add up as well.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            accepted: self.accepted - earlier.accepted,
            pending: self.pending,
            running: self.running,
            completed: self.completed - earlier.completed,
            failed: self.failed - earlier.failed,
            skipped: self.skipped - earlier.skipped,
            aborted: self.aborted - earlier.aborted,
            returned: self.returned - earlier.returned,
            retries: self.retries - earlier.retries,
            stored: self.stored - earlier.stored,
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            accepted,
            pending,
            running,
            completed,
            failed,
            skipped,
            aborted,
            returned,
            retries,
            stored,
        } = self;
        write!(
            f,
            "accepted={accepted} pending={pending} running={running} completed={completed} failed={failed} \
             skipped={skipped} aborted={aborted} retries={retries}"
        )?;
        if *stored > 0 || *returned > 0 {
            write!(f, " stored={stored} returned={returned}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_shown_on_one_line() {
        let stats = Stats {
            accepted: 21,
            pending: 1,
            running: 2,
            completed: 3,
            failed: 4,
            skipped: 5,
            aborted: 6,
            returned: 0,
            retries: 7,
            stored: 0,
        };
        let line =
            "accepted=21 pending=1 running=2 completed=3 failed=4 skipped=5 aborted=6 retries=7";
        assert_eq!(stats.to_string(), line);
        let durable = Stats {
            returned: 8,
            stored: 9,
            ..stats
        };
        assert_eq!(durable.to_string(), format!("{line} stored=9 returned=8"));
    }
}
