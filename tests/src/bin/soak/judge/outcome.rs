//! Each task has one outcome, and its signs agree.

use bg_runtime::{FailureKind, SkipReason};

use super::{Broken, Violation};
use crate::{
    history::{End, Handle, History, List, Member, Request, Source, Task, Told},
    plan::When,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Completed,
    Failed,
    Skipped,
    Refused,
    Aborted,
}

/// The outcome of every task, as far as it shows.
pub(super) fn all(history: &History) -> Vec<Option<Outcome>> {
    let mut outcomes: Vec<_> = history.tasks.iter().map(shown).collect();
    // Skipped tasks that no hook hears of: the condition did not hold, or an earlier task has
    // failed.
    for (task, outcome) in history.tasks.iter().zip(&mut outcomes) {
        if outcome.is_none() && task.runs.is_empty() && condition_fails(history, task) {
            *outcome = Some(Outcome::Skipped);
        }
    }
    for request in &history.requests {
        for list in &request.lists {
            skip_behind_failures(history, list, false, &mut outcomes);
        }
    }
    let stops = |task: &Task, outcome: Option<Outcome>| {
        let queued_by_hand = matches!(task.source, Source::Handler | Source::Late);
        queued_by_hand && !task.is_independent && stops_its_list(history, task, outcome)
    };
    let stopped = history.tasks.iter().zip(&outcomes);
    let stopped = stopped.filter(|(task, outcome)| stops(task, **outcome));
    let stopped: Vec<_> = stopped.map(|(task, _)| task.request).collect();
    for (task, outcome) in history.tasks.iter().zip(&mut outcomes) {
        let is_late = task.source == Source::Late && task.runs.is_empty() && !task.is_independent;
        if outcome.is_none() && is_late && stopped.contains(&task.request) {
            *outcome = Some(Outcome::Skipped);
        }
    }
    outcomes
}

/// What the task's own marks and the hooks say.
fn shown(task: &Task) -> Option<Outcome> {
    if let Some(told) = last_word(task) {
        return Some(match told.kind {
            FailureKind::Skipped => Outcome::Skipped,
            FailureKind::Rejected => Outcome::Refused,
            FailureKind::Aborted => Outcome::Aborted,
            _ => Outcome::Failed,
        });
    }
    let (_, end) = task.runs.last()?.end?;
    (end == End::Succeeded).then_some(Outcome::Completed)
}

fn last_word(task: &Task) -> Option<&Told> {
    task.told.iter().find(|told| !told.will_retry)
}

fn condition_fails(history: &History, task: &Task) -> bool {
    let status = task.request.and_then(|nth| history.requests[nth].answered);
    task.when == When::OnErrorResponse && status.is_some_and(|status| status < 400)
}

/// Gives the tasks behind a failure their outcome. Returns whether something in the list failed.
fn skip_behind_failures(
    history: &History,
    list: &List,
    mut behind: bool,
    outcomes: &mut [Option<Outcome>],
) -> bool {
    let mut failed = false;
    for member in &list.members {
        let fails = match member {
            Member::Task(nth) => {
                let outcome = &mut outcomes[*nth];
                if behind && outcome.is_none() && history.tasks[*nth].runs.is_empty() {
                    *outcome = Some(Outcome::Skipped);
                }
                stops_its_list(history, &history.tasks[*nth], *outcome)
            }
            Member::List(inner) => skip_behind_failures(history, inner, behind, outcomes),
        };
        failed |= fails;
        behind |= fails && !list.concurrent && !list.continue_on_error;
    }
    failed
}

/// Returns whether the end of the task is a failure to its list.
pub(super) fn stops_its_list(history: &History, task: &Task, outcome: Option<Outcome>) -> bool {
    match outcome {
        Some(Outcome::Failed | Outcome::Refused) => true,
        // By its handle, and not in a list any more if it would not have run: its condition does not hold, or the
        // client has left while the response waited for room. What a shutdown aborts has nothing behind it that is
        // left.
        Some(Outcome::Aborted) => {
            let was_due = !history.holds_back || !task.runs.is_empty();
            task.abort_asked && may_run(history, task) && was_due
        }
        Some(Outcome::Completed | Outcome::Skipped) | None => false,
    }
}

/// Judges one task by its signs.
pub(super) fn judge(history: &History, task: &Task, outcome: Option<Outcome>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut say = |broken, what: &str| {
        let what = format!("{}: {what} {:?} {:?}", task.name, task.runs, task.told);
        found.push(Violation::new(broken, what));
    };
    let Some(outcome) = outcome else {
        say(Broken::Lost, "no outcome");
        return found;
    };
    let allowed = 1 + task.retries as usize;
    if task.runs.len() > allowed {
        say(Broken::Twice, "more runs than allowed");
    }
    let mut before = 0;
    for pair in task.runs.windows(2) {
        // Of a synchronous task, the thread of the run before.
        if pair[0].end.is_none_or(|(end, _)| pair[1].start < end) {
            say(Broken::Twice, "a run beside the one before it");
        }
    }
    for run in &task.runs {
        let mut words = task.told.iter();
        let asked = words
            .any(|told| told.will_retry && told.attempt + 1 == run.attempt && told.at < run.start);
        // A blocking run may time out before a thread is free for its first line.
        let follows = match task.is_blocking {
            true => run.attempt > before,
            false => run.attempt == before + 1,
        };
        if !follows || run.attempt > 1 && !asked {
            say(Broken::Twice, "a run that no failure asked for");
        }
        before = run.attempt;
    }
    let last_words: Vec<&Told> = task.told.iter().filter(|told| !told.will_retry).collect();
    if last_words.len() > 1 {
        say(Broken::Twice, "two outcomes");
    }
    if let Some(word) = last_words.first() {
        // A handle may abort a task that has started, and is about to come to its first line. And the thread of a
        // synchronous run may have begun, and not come to it, when the time of the run is over.
        let aborted = outcome == Outcome::Aborted;
        let timed_out = task.is_blocking && word.kind == FailureKind::Timeout;
        if !aborted && !timed_out && task.runs.iter().any(|run| run.start > word.at) {
            say(Broken::Twice, "a run after the outcome");
        }
        if let Some(reason) = contradiction(history, task, word) {
            // An abort that nothing asked for: the library has dropped the task.
            let broken = match aborted {
                true => Broken::Lost,
                false => Broken::Wrong,
            };
            say(broken, &reason);
        }
    } else if outcome == Outcome::Skipped && !task.runs.is_empty() {
        say(Broken::Twice, "skipped, and it ran");
    }
    if task.unfinished && outcome != Outcome::Aborted {
        say(Broken::Twice, "the report names it as unfinished");
    }
    let handle = match task.handle {
        Handle::None => true,
        Handle::Waits => false,
        Handle::Completed => outcome == Outcome::Completed,
        Handle::Failed(kind) => match last_words.first() {
            Some(word) => word.kind == kind,
            // No hook hears of every skipped task.
            None => kind == FailureKind::Skipped && outcome == Outcome::Skipped,
        },
    };
    if !handle {
        say(Broken::Wrong, &format!("its handle says {:?}", task.handle));
    }
    if !task.runs.is_empty() && !may_run(history, task) {
        say(Broken::Wrong, "it ran, although its condition did not hold");
    }
    found
}

/// Returns why the last report of a hook cannot be true.
fn contradiction(history: &History, task: &Task, word: &Told) -> Option<String> {
    let request = task.request.map(|nth| &history.requests[nth]);
    let end = task.runs.last().and_then(|run| run.end);
    let end = end.map(|(_, end)| end);
    let closes = history.closings.iter().any(|time| time.contains(word.at));
    let fits = match word.kind {
        FailureKind::Error => end == Some(End::Failed),
        FailureKind::Panic => end == Some(End::Panicked),
        FailureKind::Timeout => task.has_timeout && (task.is_blocking || end == Some(End::Dropped)),
        FailureKind::Aborted => closes || task.abort_asked,
        FailureKind::Rejected => {
            task.runs.is_empty() && (closes || history.refuses || task.may_be_refused)
        }
        FailureKind::Skipped => {
            let fits = |reason| request.is_some_and(|request| skip_fits(task, request, reason));
            task.runs.is_empty() && word.reason.is_some_and(fits)
        }
        _ => false,
    };
    (!fits).then(|| {
        let closings = &history.closings;
        format!("it cannot be {word:?}, with {request:?}; {closings:?}")
    })
}

fn skip_fits(task: &Task, request: &Request, reason: SkipReason) -> bool {
    let attached = task.source == Source::Response;
    match reason {
        SkipReason::ErrorResponse(status) => {
            let answer = request.answered.unwrap_or(match request.panics {
                true => 500,
                false => 0,
            });
            status.as_u16() == answer && answer >= 400 && !attached && task.when == When::Default
        }
        SkipReason::HandlerCancelled => request.answered.is_none() && task.when == When::Default,
        SkipReason::HandlerPanicked => request.panics && task.when == When::Default,
        SkipReason::NoRoom => {
            // Another layer may have answered for a handler that panicked.
            let answered = request.answered.is_some() || request.panics;
            answered && task.when == When::Default
        }
        SkipReason::EarlierRefusal { .. } | SkipReason::EarlierAbort { .. } => !task.is_independent,
        // No hook hears of the others, or they are no answer to a task that was handed over.
        _ => false,
    }
}

/// Returns whether what became of the request lets the task run.
fn may_run(history: &History, task: &Task) -> bool {
    let Some(request) = task.request.map(|nth| &history.requests[nth]) else {
        return true;
    };
    let failed = request.answered.is_none_or(|status| status >= 400);
    match (task.when, task.source) {
        (When::Always, _) => true,
        (When::OnErrorResponse, _) => failed,
        (When::Default, Source::Late | Source::Spawned) => true,
        (When::Default, Source::Response) => request.answered.is_some(),
        (When::Default, Source::Route | Source::Handler) => !failed,
    }
}
