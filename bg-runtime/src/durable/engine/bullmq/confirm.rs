//! Successes that BullMQ was told of, and has not confirmed.
//!
//! Its client forgets one whose answer is lost, and the task would run again. So what is not confirmed in a second is said
//! once more, on a connection of ours and with the same token: whoever comes second changes nothing.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::Instant;

use super::fields::JobKey;
use super::run::Runs;
use crate::sync::Mutex;

/// How long BullMQ may take.
const CONFIRM: Duration = Duration::from_secs(1);

/// How often is looked.
const LOOK: Duration = Duration::from_millis(250);

/// How many are said at once.
const AT_ONCE: usize = 16;

#[derive(Default)]
pub(super) struct Unconfirmed(Mutex<HashMap<JobKey, Vec<(String, Instant)>>>);

impl Unconfirmed {
    pub(super) fn add(&self, job: JobKey, token: String) {
        let unconfirmed = &mut *self.0.lock();
        let tokens = unconfirmed.entry(job).or_default();
        tokens.push((token, Instant::now()));
    }

    /// Forgets a task that has completed, whichever of its claims has recorded that.
    pub(super) fn confirm(&self, job: &JobKey) {
        self.0.lock().remove(job);
    }

    /// Forgets one claim of a task. Returns whether no other one is left of which is not known what became.
    pub(super) fn give_up(&self, job: &JobKey, token: &str) -> bool {
        let unconfirmed = &mut *self.0.lock();
        let Some(tokens) = unconfirmed.get_mut(job) else {
            return false;
        };
        tokens.retain(|(of, _)| of != token);
        if tokens.is_empty() {
            unconfirmed.remove(job);
            return true;
        }
        false
    }

    pub(super) fn has(&self, job: &JobKey) -> bool {
        self.0.lock().contains_key(job)
    }

    pub(super) fn has_any_of(&self, queue: &str) -> bool {
        self.0.lock().keys().any(|job| *job.queue == *queue)
    }

    /// Returns those that should have been confirmed, each with since when it is not.
    fn late(&self) -> Vec<(JobKey, String, Instant)> {
        let unconfirmed = &*self.0.lock();
        let all = unconfirmed.iter();
        let all = all.flat_map(|(job, tokens)| tokens.iter().map(move |token| (job, token)));
        let late = all.filter(|(_, (_, since))| since.elapsed() >= CONFIRM);
        late.map(|(job, (token, since))| (job.clone(), token.clone(), *since))
            .collect()
    }
}

pub(super) async fn keep_confirming(runs: &Runs) -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        let late = stream::iter(runs.shared.unconfirmed.late());
        late.for_each_concurrent(AT_ONCE, async |(job, token, since)| {
            runs.say_completed(&job, &token, since).await;
        })
        .await;
    }
}
