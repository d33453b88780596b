//! Judges a history: what the library promised, and what happened.

mod limits;
mod order;
mod outcome;
#[cfg(test)]
mod tests;

use std::{fmt, ops::Add};

use bg_runtime::Stats;

use self::outcome::Outcome;
use crate::history::{History, Limit, Report, Source, Task};

/// A broken promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Broken {
    /// A task ran before the operating system had taken the last byte of the response.
    Early,
    /// A task that was handed over has no outcome.
    Lost,
    /// A task ran or ended more often than it may.
    Twice,
    /// A task's signs contradict each other, or what was planned.
    Wrong,
    /// A task ran before its turn.
    Order,
    /// More ran, or waited, than a limit allows.
    Limit,
    /// The library's counts are not those of the ledger, or do not add up.
    Counts,
    /// A shutdown was over before the hooks had been told.
    Untold,
    /// A client was not served as it should have been.
    Served,
    /// Something is left of a round.
    Alive,
    /// A round did not come to its end.
    Hung,
    /// The process has grown.
    Memory,
}

/// A broken promise, and where.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) broken: Broken,
    pub(crate) what: String,
}

impl Violation {
    pub(crate) fn new(broken: Broken, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { broken, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.broken, self.what)
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            completed: self.completed + other.completed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            aborted: self.aborted + other.aborted,
            retries: self.retries + other.retries,
            judged: self.judged + other.judged,
        }
    }
}

/// The tasks of one or more rounds by their outcomes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) accepted: u64,
    pub(crate) completed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) aborted: u64,
    /// Runs after the first.
    pub(crate) retries: u64,
    /// Tasks of which it could be told whether they started early.
    pub(crate) judged: u64,
}

/// Returns whether every task has shown its outcome, so that nothing is left to wait for.
pub(crate) fn is_settled(history: &History) -> bool {
    let outcomes = outcome::all(history);
    history.tasks.iter().zip(&outcomes).all(|(task, outcome)| {
        let told = !history.tells_async || task.told.len() == task.told_async.len();
        outcome.is_some() && told && task.handle != crate::history::Handle::Waits
    })
}

/// Judges a whole round.
pub(crate) fn judge(history: &History) -> (Counts, Vec<Violation>) {
    let outcomes = outcome::all(history);
    let mut violations = Vec::new();
    for (task, outcome) in history.tasks.iter().zip(&outcomes) {
        violations.extend(outcome::judge(history, task, *outcome));
        violations.extend(early(history, task));
        violations.extend(untold(history, task));
    }
    for request in &history.requests {
        violations.extend(order::judge(history, request, &outcomes));
    }
    violations.extend(limits::judge(&history.tasks));
    let strangers = history.strangers.iter();
    violations.extend(strangers.map(|what| Violation::new(Broken::Lost, what)));

    let counts = count(history, &outcomes);
    violations.extend(compare(history, &counts));
    (counts, violations)
}

/// Judges what `stats()` said at some moment, after what it had said before.
pub(crate) fn judge_sample(
    before: &Stats,
    now: &Stats,
    pending_limit: Option<usize>,
) -> Option<Violation> {
    let grows = [
        (before.accepted, now.accepted),
        (before.completed, now.completed),
        (before.failed, now.failed),
        (before.skipped, now.skipped),
        (before.aborted, now.aborted),
        (before.retries, now.retries),
    ];
    if !is_balanced(now) || grows.iter().any(|(before, now)| now < before) {
        let what = format!("the counts went from [{before}] to [{now}]");
        return Some(Violation::new(Broken::Counts, what));
    }
    let limit = pending_limit.filter(|limit| now.pending > *limit as u64)?;
    let what = format!("max_pending({limit}, Reject), and [{now}]");
    Some(Violation::new(Broken::Limit, what))
}

fn is_balanced(stats: &Stats) -> bool {
    let over = stats.completed + stats.failed + stats.skipped + stats.aborted;
    stats.accepted == stats.pending + stats.running + over
}

/// Finds a task whose first line came before the end of its response.
fn early(history: &History, task: &Task) -> Option<Violation> {
    let (request, run) = (&history.requests[task.request?], task.runs.first()?);
    if task.source == Source::Spawned || !request.is_judged {
        return None;
    }
    // Once the server has let go of a connection nothing more can be sent on it: what was still to be sent
    // is given up, whether its client has noticed or not.
    let end = [request.last_write, request.given_up, request.gone];
    let end = end.into_iter().flatten().min();
    if end.is_some_and(|end| end < run.start) {
        return None;
    }
    let what = format!(
        "{}: its first line came at {}; {} (last write {:?}, given up {:?}, connection gone {:?}; its \
         client saw {}); {:?}",
        task.name,
        run.start,
        request.name,
        request.last_write,
        request.given_up,
        request.gone,
        request.fate,
        history.closings,
    );
    Some(Violation::new(Broken::Early, what))
}

/// Finds a task whose hooks were still to be told of a run when the drain was over.
fn untold(history: &History, task: &Task) -> Option<Violation> {
    let start = task.runs.first()?.start;
    let told = task.told.iter().map(|told| told.at);
    let last = told.chain(task.told_async.iter().copied()).max()?;
    let overs = history.reports.iter().map(|report| report.at);
    let over = overs.filter(|over| start < *over && *over < last).min()?;
    let what = format!("{}: told at {last}, the drain over at {over}", task.name);
    Some(Violation::new(Broken::Untold, what))
}

fn count(history: &History, outcomes: &[Option<Outcome>]) -> Counts {
    let mut counts = Counts::default();
    for (task, outcome) in history.tasks.iter().zip(outcomes) {
        counts.accepted += 1;
        counts.retries += (task.runs.len() as u64).saturating_sub(1);
        let request = task.request.map(|request| &history.requests[request]);
        let is_judged = request.is_some_and(|request| request.is_judged) && !task.runs.is_empty();
        counts.judged += u64::from(is_judged);
        match outcome {
            Some(Outcome::Completed) => counts.completed += 1,
            Some(Outcome::Failed) => counts.failed += 1,
            Some(Outcome::Skipped | Outcome::Refused) => counts.skipped += 1,
            Some(Outcome::Aborted) => counts.aborted += 1,
            None => {}
        }
    }
    counts
}

fn compare(history: &History, counts: &Counts) -> Vec<Violation> {
    let History { reports, stats, .. } = history;
    let ours = [
        counts.accepted,
        counts.completed,
        counts.failed,
        counts.skipped,
        counts.aborted,
    ];
    let theirs = [
        stats.accepted,
        stats.completed,
        stats.failed,
        stats.skipped,
        stats.aborted,
    ];
    let mut violations = Vec::new();
    if ours != theirs || stats.pending + stats.running > 0 {
        let what = format!("the library counts [{stats}], the ledger {counts:?}");
        violations.push(Violation::new(Broken::Counts, what));
    }
    for Report {
        stats, unfinished, ..
    } in reports
    {
        if !is_balanced(stats) || stats.pending + stats.running > 0 || *unfinished > stats.aborted {
            let what = format!("a drain's report is [{stats}], with {unfinished} unfinished");
            violations.push(Violation::new(Broken::Counts, what));
        }
    }
    let reported: u64 = reports.iter().map(|report| report.stats.accepted).sum();
    if reported > stats.accepted {
        let what = format!("the reports have {reported} tasks, and the library [{stats}]");
        violations.push(Violation::new(Broken::Counts, what));
    }
    violations
}

/// How a limit shows in messages.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} allows {}", self.name, self.runs)
    }
}
