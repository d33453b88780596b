//! Running what BullMQ hands out, and saying what became of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Common;
use super::fields::{self, BgMember, JobKey};
use super::scripts::call;
use super::upkeep::Parked;
use crate::durable::engine::held::Run;
use crate::durable::engine::room::Rooms;
use crate::durable::stored::StopOrder;
use crate::durable::{Claimed, Desk, Verdict};
use crate::log_target::RUNTIME;
use crate::task::TaskId;

/// How soon is said again what was not heard.
const AGAIN: Duration = Duration::from_millis(200);

/// What BullMQ leaves alone: scripts of ours have moved the job.
const MOVED: ::bullmq::Error = ::bullmq::Error::Delayed;

pub(super) struct Runs {
    pub(super) shared: Arc<Common>,
    pub(super) desk: Arc<Desk>,
    pub(super) rooms: Rooms,
    /// Those that BullMQ has recorded, for whoever waits for them.
    pub(super) ended: mpsc::UnboundedSender<TaskId>,
    pub(super) parked: Parked,
}

impl Runs {
    pub(super) async fn run(
        &self,
        queue: &Arc<str>,
        job: ::bullmq::Job,
    ) -> Result<serde_json::Value, ::bullmq::Error> {
        let key = JobKey {
            queue: queue.clone(),
            id: job.id().to_owned(),
        };
        let token = job.token().unwrap_or_default().to_owned();
        self.rooms.stir(queue);
        let held = &self.shared.held;
        let attempt = held.claim(key.clone(), key.task(), token.clone());
        let verdict = self.verdict(&key, &token, &job).await;
        if matches!(&verdict, Some(verdict) if matches!(**verdict, Verdict::Completed)) {
            self.shared.unconfirmed.add(key, token);
            drop(attempt);
            self.parked.room();
            return Ok(serde_json::Value::Null);
        }
        if let Some(verdict) = verdict {
            self.settle(&key, &token, Said::of(&verdict)).await;
        }
        drop(attempt);
        held.recorded(&key);
        self.parked.room();
        Err(MOVED)
    }

    /// Returns what became of the run; `None` if there was none, and nothing is to be said.
    async fn verdict(
        &self,
        key: &JobKey,
        token: &str,
        job: &::bullmq::Job,
    ) -> Option<Arc<Verdict>> {
        if job.name().is_empty() && job.timestamp() == 0 {
            tracing::warn!(
                target: RUNTIME,
                task = %key.task(),
                "a task is gone from the store before it could run: something has deleted its key"
            );
            self.settle(key, token, Said::of_another("gone", "")).await;
            return None;
        }
        if !self.desk.names.contains(&job.name()) {
            self.settle(key, token, Said::of_another("parked", job.name()))
                .await;
            return None;
        }
        let claimed = self.claimed(key, job).await?;
        let run = self.shared.held.run(key, || self.begin(key, claimed)).await;
        Some(run.ended.await)
    }

    fn begin(&self, key: &JobKey, claimed: Claimed) -> Run {
        let stop = claimed.stop.clone();
        let desk = self.desk.clone();
        let seat = self.rooms.enter(&key.queue);
        // Asked on the first poll, not here: a lock is held.
        let run = async move {
            let _seat = seat.await;
            Arc::new(desk.run(claimed).await)
        };
        Run {
            ended: run.boxed().shared(),
            stop,
            #[cfg(feature = "river")]
            returns: 0,
        }
    }

    async fn claimed(&self, key: &JobKey, job: &::bullmq::Job) -> Option<Claimed> {
        let (mut bg, mut arguments) = fields::split_value(job.data());
        let mut losses = 0;
        let stop = StopOrder::default();
        let is_first = job.attempts_started() <= 1;
        if !is_first || bg.as_ref().is_none_or(|bg| bg.raw) {
            let more = self.more(key).await?;
            losses = more.losses;
            if more.is_cancelled {
                stop.cancelled.cancel();
            }
            (bg, arguments) = fields::split(&more.data);
        }
        let bg = bg.unwrap_or_else(|| BgMember::of_another(job.opts().attempts.unwrap_or(1)));
        Some(Claimed {
            id: key.task(),
            name: job.name().to_owned(),
            arguments,
            envelope: bg.envelope,
            queue: key.queue.to_string(),
            attempt: job.attempts_started(),
            failures: job.attempts_made(),
            losses,
            runs: bg.runs,
            stored_at: fields::time(i64::try_from(job.timestamp()).unwrap_or(0)),
            stop,
        })
    }

    /// Asks for what does not travel with a claim.
    async fn more(&self, key: &JobKey) -> Option<More> {
        let mut ask = call(&self.shared.prefix, |scripts| &scripts.claimed);
        ask.arg(&*key.queue)
            .arg(&key.id)
            .arg(key.task().to_string());
        let until = Instant::now() + self.shared.lease;
        loop {
            let answer = self.shared.link.run_again(&ask).await;
            let answer: Result<(String, u32, bool), _> = answer;
            match answer {
                Ok((data, losses, is_cancelled)) => {
                    return Some(More {
                        data,
                        losses,
                        is_cancelled,
                    });
                }
                Err(_) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
                // It runs again, elsewhere.
                Err(_) => return None,
            }
        }
    }

    /// Notes that BullMQ has recorded a success.
    pub(super) fn confirmed(&self, key: &JobKey) {
        self.shared.unconfirmed.confirm(key);
        if let Some(task) = self.shared.held.recorded(key) {
            // An error says that the worker has ended.
            let _ = self.ended.send(task);
        }
    }

    /// Says of a task whose success was not confirmed that it has succeeded.
    pub(super) async fn say_completed(&self, key: &JobKey, token: &str, since: Instant) {
        let end = Said::of_another("completed", "");
        if let Err(error) = self.say(key, token, &end).await {
            if since.elapsed() < self.shared.lease {
                return;
            }
            not_told(key, &error);
        }
        // If it was recorded by BullMQ, nobody was told.
        if self.shared.unconfirmed.give_up(key, token)
            && let Some(task) = self.shared.held.recorded(key)
        {
            let _ = self.ended.send(task);
        }
    }

    /// Says what became of a task until that is heard, or its lease is over.
    async fn settle(&self, key: &JobKey, token: &str, end: Said) {
        let until = Instant::now() + self.shared.lease;
        while let Err(error) = self.say(key, token, &end).await {
            if Instant::now() >= until {
                not_told(key, &error);
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Returns whether the task was still this worker's.
    async fn say(
        &self,
        key: &JobKey,
        token: &str,
        end: &Said,
    ) -> Result<bool, ::redis::RedisError> {
        let mut script = call(&self.shared.prefix, |scripts| &scripts.settle);
        script
            .arg(&*key.queue)
            .arg(&key.id)
            .arg(token)
            .arg(end.verdict)
            .arg(&end.text)
            .arg(fields::wait(end.wait));
        self.shared.link.run_again(&script).await
    }
}

fn not_told(key: &JobKey, error: &::redis::RedisError) {
    tracing::warn!(
        target: RUNTIME,
        task = %key.task(),
        %error,
        "the store was not told what became of a task, which runs again"
    );
}

impl BgMember {
    /// Of a task that another client of BullMQ has stored.
    fn of_another(attempts: u32) -> Self {
        Self {
            runs: attempts.max(1),
            envelope: RawValue::from_string("{}".to_owned()).expect("this is JSON"),
            raw: false,
        }
    }
}

struct More {
    data: String,
    losses: u32,
    is_cancelled: bool,
}

/// What `settle.lua` is told.
struct Said {
    verdict: &'static str,
    text: String,
    wait: Duration,
}

impl Said {
    fn of(verdict: &Verdict) -> Self {
        let (verdict, text, wait) = match verdict {
            Verdict::Completed => ("completed", String::new(), Duration::ZERO),
            Verdict::Failed {
                failure,
                retry_in: Some(wait),
            } => ("retry", failure.to_string(), *wait),
            Verdict::Failed {
                failure,
                retry_in: None,
            } => ("dead", failure.to_string(), Duration::ZERO),
            Verdict::Cancelled(failure) => ("cancelled", failure.to_string(), Duration::ZERO),
            Verdict::Unreadable { failure, wait } => ("unreadable", failure.to_string(), *wait),
            Verdict::Returned { wait } => ("returned", String::new(), *wait),
        };
        Self {
            verdict,
            text,
            wait,
        }
    }

    fn of_another(verdict: &'static str, text: &str) -> Self {
        Self {
            verdict,
            text: text.to_owned(),
            wait: Duration::ZERO,
        }
    }
}
