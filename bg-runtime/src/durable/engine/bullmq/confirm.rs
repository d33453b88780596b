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
pub(super) struct Unconfirmed(Mutex<HashMap<JobKey, (String, Instant)>>);

impl Unconfirmed {
    pub(super) fn add(&self, job: JobKey, token: String) {
        self.0.lock().insert(job, (token, Instant::now()));
    }

    /// Returns whether it was not confirmed before.
    pub(super) fn confirm(&self, job: &JobKey) -> bool {
        self.0.lock().remove(job).is_some()
    }

    pub(super) fn has(&self, job: &JobKey) -> bool {
        self.0.lock().contains_key(job)
    }

    pub(super) fn has_any_of(&self, queue: &str) -> bool {
        self.0.lock().keys().any(|job| *job.queue == *queue)
    }

    fn late(&self) -> Vec<(JobKey, String)> {
        let unconfirmed = &*self.0.lock();
        let late = unconfirmed
            .iter()
            .filter(|(_, (_, since))| since.elapsed() >= CONFIRM);
        late.map(|(job, (token, _))| (job.clone(), token.clone()))
            .collect()
    }
}

pub(super) async fn keep_confirming(runs: &Runs) -> Infallible {
    loop {
        tokio::time::sleep(LOOK).await;
        let late = stream::iter(runs.shared.unconfirmed.late());
        late.for_each_concurrent(AT_ONCE, async |(job, token)| {
            runs.say_completed(&job, &token).await;
        })
        .await;
    }
}
