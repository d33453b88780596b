//! The claims that this process has: what runs, and what has run and is not recorded yet.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, Shared};

use crate::durable::Verdict;
use crate::durable::stored::StopOrder;
use crate::sync::Mutex;
use crate::task::TaskId;

/// The end of a run, for every attempt that waits for it.
pub(super) type Ended = Shared<BoxFuture<'static, Arc<Verdict>>>;

#[derive(Default)]
pub(super) struct Held(Mutex<Claims>);

#[derive(Default)]
struct Claims {
    by_row: HashMap<i64, Claim>,
    rows: HashMap<TaskId, i64>,
}

struct Claim {
    task: TaskId,
    /// Which client of River has it: one may take over from another.
    client: u64,
    /// How many attempts of this process wait for the run: more than one if it was rescued here while it ran here.
    open: u32,
    run: Option<Run>,
}

#[derive(Clone)]
pub(super) struct Run {
    pub(super) ended: Ended,
    pub(super) stop: StopOrder,
    /// How often the task had gone back to the store before.
    pub(super) returns: i64,
}

impl Held {
    /// Notes a claim, before River asks how long it may take.
    pub(super) fn claim(self: &Arc<Self>, row: i64, task: TaskId, client: u64) -> Attempt {
        let claims = &mut *self.0.lock();
        claims.rows.insert(task, row);
        let claim = claims.by_row.entry(row).or_insert(Claim {
            task,
            client,
            open: 0,
            run: None,
        });
        claim.client = client;
        claim.open += 1;
        Attempt {
            held: self.clone(),
            row,
        }
    }

    pub(super) fn has(&self, row: i64) -> bool {
        self.0.lock().by_row.contains_key(&row)
    }

    pub(super) fn has_any_of(&self, client: u64) -> bool {
        let claims = &*self.0.lock();
        claims.by_row.values().any(|claim| claim.client == client)
    }

    pub(super) fn row_of(&self, task: TaskId) -> Option<i64> {
        self.0.lock().rows.get(&task).copied()
    }

    /// Returns the run that is under way, or one that `begin` makes. A run whose claim was lost is over for the claims
    /// that follow: its end is waited for first.
    pub(super) async fn run(&self, row: i64, begin: impl FnOnce() -> Run) -> Run {
        loop {
            let lost = {
                let claims = &mut *self.0.lock();
                let run = claims.by_row.get(&row).and_then(|claim| claim.run.clone());
                match run {
                    Some(run) if !run.stop.lost.is_cancelled() => return run,
                    Some(run) if run.ended.peek().is_none() => run.ended,
                    _ => {
                        let run = begin();
                        if let Some(claim) = claims.by_row.get_mut(&row) {
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
    pub(super) fn recorded(&self, row: i64) -> Option<TaskId> {
        let claims = &mut *self.0.lock();
        let task = claims.by_row.get(&row)?.task;
        claims.forget(row);
        Some(task)
    }

    /// Returns the rows to beat for.
    pub(super) fn rows(&self) -> Vec<i64> {
        self.0.lock().by_row.keys().copied().collect()
    }

    /// Tells the runs of these rows that somebody has cancelled them.
    pub(super) fn cancelled(&self, rows: impl Iterator<Item = i64>) {
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

    /// Tells the runs of these rows that they have no claim any more.
    pub(super) fn lost(&self, rows: impl Iterator<Item = i64>) -> Vec<TaskId> {
        let mut told = Vec::new();
        let mut stops = Vec::new();
        {
            let claims = &mut *self.0.lock();
            for row in rows {
                let Some(claim) = claims.by_row.get(&row) else {
                    continue;
                };
                if let Some(run) = &claim.run
                    && !run.stop.lost.is_cancelled()
                {
                    told.push(claim.task);
                    stops.push(run.stop.clone());
                }
                claims.forget(row);
            }
        }
        // Outside the lock: this wakes tasks.
        for stop in stops {
            stop.lost.cancel();
        }
        told
    }
}

impl Claims {
    fn forget(&mut self, row: i64) {
        let is_over = self.by_row.get(&row).is_some_and(|claim| claim.open == 0);
        if is_over && let Some(claim) = self.by_row.remove(&row) {
            self.rows.remove(&claim.task);
        }
    }
}

/// An attempt of this process. Dropped when it hands its verdict to River, which records it a moment later.
pub(super) struct Attempt {
    held: Arc<Held>,
    row: i64,
}

impl Drop for Attempt {
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
