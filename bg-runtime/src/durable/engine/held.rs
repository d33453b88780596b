//! The claims that this process has: what runs, and what has run and is not recorded yet.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Shared};
use tokio_util::sync::CancellationToken;

use crate::durable::Verdict;
use crate::durable::stored::StopOrder;
use crate::log_target::RUNTIME;
use crate::sync::Mutex;
use crate::task::TaskId;

/// The end of a run, for every attempt that waits for it.
pub(super) type Ended = Shared<BoxFuture<'static, Arc<Verdict>>>;

/// `R` is what the engine calls a row, and `B` by what it knows a claim of it.
pub(super) struct Held<R, B>(Mutex<Claims<R, B>>);

struct Claims<R, B> {
    by_row: HashMap<R, Claim<B>>,
    rows: HashMap<TaskId, R>,
}

struct Claim<B> {
    task: TaskId,
    by: B,
    /// How many attempts of this process wait for the run: more than one if it was rescued here while it ran here.
    open: u32,
    run: Option<Run>,
}

#[derive(Clone)]
pub(super) struct Run {
    pub(super) ended: Ended,
    pub(super) stop: StopOrder,
    /// How often the task had gone back to the store before, where the engine does not count that.
    #[cfg(feature = "river")]
    pub(super) returns: i64,
}

impl<R, B> Default for Held<R, B> {
    fn default() -> Self {
        Self(Mutex::new(Claims {
            by_row: HashMap::new(),
            rows: HashMap::new(),
        }))
    }
}

impl<R: Clone + Eq + Hash, B: Clone + PartialEq> Held<R, B> {
    /// Notes a claim, before anybody asks about it.
    pub(super) fn claim(self: &Arc<Self>, row: R, task: TaskId, by: B) -> Attempt<R, B> {
        let claims = &mut *self.0.lock();
        claims.rows.insert(task, row.clone());
        let claim = claims.by_row.entry(row.clone()).or_insert(Claim {
            task,
            by: by.clone(),
            open: 0,
            run: None,
        });
        claim.by = by;
        claim.open += 1;
        Attempt {
            held: self.clone(),
            row,
        }
    }

    #[cfg(feature = "river")]
    pub(super) fn has(&self, row: &R) -> bool {
        self.0.lock().by_row.contains_key(row)
    }

    /// Returns in a shutdown, when what `is_of` is recorded: a client that has not ended by itself waits for an answer, on
    /// a connection that may be dead.
    pub(super) async fn nothing_left(
        &self,
        is_of: impl Fn(&R, &B) -> bool,
        shutdown: &CancellationToken,
    ) {
        const PATIENCE: Duration = Duration::from_secs(2);
        const LOOK: Duration = Duration::from_millis(100);
        shutdown.cancelled().await;
        tokio::time::sleep(PATIENCE).await;
        let is_left = || {
            let claims = &*self.0.lock();
            let mut claims = claims.by_row.iter();
            claims.any(|(row, claim)| is_of(row, &claim.by))
        };
        while is_left() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Returns the row of a task, and who has it.
    #[cfg(feature = "redis")]
    pub(super) fn claim_of(&self, task: TaskId) -> Option<(R, B)> {
        let claims = &*self.0.lock();
        let row = claims.rows.get(&task)?;
        let claim = claims.by_row.get(row)?;
        Some((row.clone(), claim.by.clone()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().by_row.is_empty()
    }

    pub(super) fn row_of(&self, task: TaskId) -> Option<R> {
        self.0.lock().rows.get(&task).cloned()
    }

    /// Returns the run that is under way, or one that `begin` makes. A run whose claim was lost is over for the claims
    /// that follow: its end is waited for first. One that has ended is not under way any more, though its attempt may not
    /// have heard yet that its end is recorded: a claim that follows begins anew.
    pub(super) async fn run(&self, row: &R, begin: impl FnOnce() -> Run) -> Run {
        loop {
            let lost = {
                let claims = &mut *self.0.lock();
                let run = claims.by_row.get(row).and_then(|claim| claim.run.clone());
                let run = match run {
                    Some(run) if run.ended.peek().is_some() => None,
                    Some(run) if !run.stop.lost.is_cancelled() => return run,
                    Some(run) => Some(run.ended),
                    None => None,
                };
                match run {
                    Some(ended) => ended,
                    None => {
                        let run = begin();
                        if let Some(claim) = claims.by_row.get_mut(row) {
                            claim.run = Some(run.clone());
                        }
                        return run;
                    }
                }
            };
            lost.await;
        }
    }

    /// Forgets a claim whose outcome is recorded, unless it has been claimed again, and returns whose it was.
    pub(super) fn recorded(&self, row: &R) -> Option<TaskId> {
        let claims = &mut *self.0.lock();
        let task = claims.by_row.get(row)?.task;
        claims.forget(row);
        Some(task)
    }

    /// Returns the rows to beat for, each with who has it.
    pub(super) fn rows(&self) -> Vec<(R, B)> {
        let claims = &*self.0.lock();
        let rows = claims.by_row.iter();
        rows.map(|(row, claim)| (row.clone(), claim.by.clone()))
            .collect()
    }

    /// Tells the runs of these rows that somebody has cancelled them.
    pub(super) fn cancelled(&self, rows: impl Iterator<Item = R>) {
        let stops: Vec<_> = {
            let claims = &*self.0.lock();
            let runs = rows.filter_map(|row| claims.by_row.get(&row)?.run.as_ref());
            runs.map(|run| run.stop.clone()).collect()
        };
        // Outside the lock: this wakes tasks.
        for stop in stops {
            stop.cancelled.cancel();
        }
    }

    /// Tells the runs of these rows that they have no claim any more, unless it is another one by now, and the log.
    pub(super) fn lose(&self, rows: impl Iterator<Item = (R, B)>) {
        for task in self.lost(rows) {
            tracing::warn!(
                target: RUNTIME,
                "the task {task} runs here, and was given to another worker: this one was not heard of for too long"
            );
        }
    }

    fn lost(&self, rows: impl Iterator<Item = (R, B)>) -> Vec<TaskId> {
        let mut told = Vec::new();
        let mut stops = Vec::new();
        {
            let claims = &mut *self.0.lock();
            for (row, by) in rows {
                let claim = claims.by_row.get(&row);
                let Some(claim) = claim.filter(|claim| claim.by == by) else {
                    continue;
                };
                // What has ended is about to be recorded, or has been just now.
                if let Some(run) = &claim.run
                    && run.ended.peek().is_none()
                    && !run.stop.lost.is_cancelled()
                {
                    told.push(claim.task);
                    stops.push(run.stop.clone());
                }
                claims.forget(&row);
            }
        }
        // Outside the lock: this wakes tasks.
        for stop in stops {
            stop.lost.cancel();
        }
        told
    }
}

impl<R: Eq + Hash, B> Claims<R, B> {
    fn forget(&mut self, row: &R) {
        let is_over = self.by_row.get(row).is_some_and(|claim| claim.open == 0);
        if is_over && let Some(claim) = self.by_row.remove(row) {
            self.rows.remove(&claim.task);
        }
    }
}

/// An attempt of this process. Dropped when it hands its verdict to the engine's client, which records it a moment
/// later.
pub(super) struct Attempt<R: Eq + Hash, B> {
    held: Arc<Held<R, B>>,
    row: R,
}

impl<R: Eq + Hash, B> Drop for Attempt<R, B> {
    fn drop(&mut self) {
        let run = {
            let claims = &mut *self.held.0.lock();
            let Some(claim) = claims.by_row.get_mut(&self.row) else {
                return;
            };
            claim.open -= 1;
            if claim.open > 0 {
                return;
            }
            claim.run.take()
        };
        drop(run);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    type Numbers = Held<u32, u32>;

    fn ends(verdict: Verdict) -> Run {
        Run {
            ended: std::future::ready(Arc::new(verdict)).boxed().shared(),
            stop: StopOrder::default(),
            #[cfg(feature = "river")]
            returns: 0,
        }
    }

    fn never() -> Run {
        Run {
            ended: std::future::pending().boxed().shared(),
            stop: StopOrder::default(),
            #[cfg(feature = "river")]
            returns: 0,
        }
    }

    /// Its attempt may hear later that its end is recorded than the next claim is there.
    ///
    /// P-DURABLE-13
    #[tokio::test]
    async fn a_claim_joins_what_runs_and_not_what_has_ended() {
        let held = Arc::new(Numbers::default());
        let task = TaskId::next_stored();
        let wait = Duration::ZERO;
        let _first = held.claim(1, task, 1);
        let run = held.run(&1, || ends(Verdict::Returned { wait })).await;
        let _verdict = run.ended.await;
        let _second = held.claim(1, task, 2);
        let run = held.run(&1, never).await;
        assert!(run.ended.clone().now_or_never().is_none());
        let _third = held.claim(1, task, 3);
        let joined = held.run(&1, || panic!("it runs already")).await;
        assert!(joined.ended.ptr_eq(&run.ended));
    }

    /// P-DURABLE-12
    #[tokio::test]
    async fn only_a_claim_that_is_lost_and_runs_is_told() {
        let held = Arc::new(Numbers::default());
        let tasks = [1, 2, 3].map(|row| (row, TaskId::next_stored()));
        let _attempts = tasks.map(|(row, task)| held.claim(row, task, row));
        let ended = held.run(&1, || ends(Verdict::Completed)).await;
        let _verdict = ended.ended.clone().await;
        let runs = [held.run(&2, never).await, held.run(&3, never).await];
        // The last one has been claimed anew meanwhile.
        let told = held.lost([(1, 1), (2, 2), (3, 0)].into_iter());
        assert_eq!(told, [tasks[1].1]);
        let is_lost = |run: &Run| run.stop.lost.is_cancelled();
        assert!(is_lost(&runs[0]) && !is_lost(&runs[1]) && !is_lost(&ended));
    }
}
