//! What a heartbeat says to Redis.

use std::sync::Arc;

use super::Common;
use super::fields::{JobKey, wait};
use super::link::Link;
use super::scripts::call;
use crate::durable::engine::beat::Heart;

/// How many are said at once.
const AT_ONCE: usize = 300;

pub(super) struct RedisHeart {
    pub(super) shared: Arc<Common>,
    /// Its own.
    pub(super) link: Link,
    /// The name of the worker.
    pub(super) name: String,
}

impl Heart for RedisHeart {
    fn is_needed(&self) -> bool {
        !self.shared.held.is_empty()
    }

    async fn beat(&mut self) -> Result<(), String> {
        for held in self.shared.held.rows().chunks(AT_ONCE) {
            self.once(held)
                .await
                .map_err(|error| super::advice::explained(error).to_string())?;
        }
        Ok(())
    }

    async fn reconnect(&mut self) {
        self.link.disconnect().await;
    }

    async fn close(self) {}
}

impl RedisHeart {
    /// Says that these are still worked on, and tells those of them that are somebody else's by now, or that somebody has
    /// cancelled.
    async fn once(&self, held: &[(JobKey, String)]) -> Result<(), ::redis::RedisError> {
        let mut script = call(&self.shared.prefix, |scripts| &scripts.beat);
        script.arg(wait(self.shared.lease)).arg(&self.name);
        for (job, token) in held {
            script.arg(&*job.queue).arg(&job.id).arg(token);
        }
        let (lost, cancelled): (Vec<usize>, Vec<usize>) = self.link.run_again(&script).await?;
        let claims = &self.shared.held;
        let cancelled = cancelled.into_iter().filter_map(|place| held.get(place));
        claims.cancelled(cancelled.map(|(job, _)| job.clone()));
        // What BullMQ was told of has no lock any more, as soon as that is recorded.
        let lost = lost.into_iter().filter_map(|place| held.get(place));
        let lost = lost.filter(|(job, _)| !self.shared.unconfirmed.has(job));
        claims.lose(lost.cloned());
        Ok(())
    }
}
