//! Tasks run in their turn: one list after the other, and within a list one task after the other,
//! until one fails.

use super::{
    Broken, Violation,
    outcome::{Outcome, stops_its_list},
};
use crate::history::{History, List, Member, Request, Sequence};

/// When something began to run, and when it was over; `None` if it did not run.
type Span = Option<(Sequence, Sequence)>;

/// Judges the lists of one request.
pub(super) fn judge(
    history: &History,
    request: &Request,
    outcomes: &[Option<Outcome>],
) -> Vec<Violation> {
    let mut judge = Judge {
        history,
        outcomes,
        found: Vec::new(),
    };
    let mut before: Span = None;
    for list in &request.lists {
        let (span, _) = judge.list(list);
        judge.follows(before, span, &request.name);
        before = both(before, span);
    }
    judge.found
}

struct Judge<'a> {
    history: &'a History,
    outcomes: &'a [Option<Outcome>],
    found: Vec<Violation>,
}

impl Judge<'_> {
    /// When the list ran, and whether something in it failed.
    fn list(&mut self, list: &List) -> (Span, bool) {
        let (mut span, mut failed, mut stopped) = (None, false, None);
        for member in &list.members {
            let (own, fails) = match member {
                Member::Task(nth) => self.task(*nth),
                Member::List(inner) => self.list(inner),
            };
            if !list.concurrent {
                self.follows(span, own, &self.name(member));
                if let (Some(failed), Some(_)) = (stopped, own) {
                    let (name, failed) = (self.name(member), self.name(failed));
                    let what = format!("{name}: ran behind a failure: {failed}");
                    self.found.push(Violation::new(Broken::Order, what));
                }
            }
            span = both(span, own);
            failed |= fails;
            if fails && !list.continue_on_error {
                stopped.get_or_insert(member);
            }
        }
        (span, failed)
    }

    fn task(&self, nth: usize) -> (Span, bool) {
        let task = &self.history.tasks[nth];
        let fails = stops_its_list(self.history, task, self.outcomes[nth]);
        let start = task.runs.first().map(|run| run.start);
        // A failure is told before the list goes on, a success marked. A blocking run goes on when
        // the library has stopped waiting for it. A handle tells of its abort beside the list, which goes on when
        // the run has been dropped; of a blocking one, nothing shows when that was.
        let told = task.told.iter().filter(|told| !told.will_retry);
        let told = told.map(|told| told.at).next();
        let end = task.runs.last().and_then(|run| run.end);
        let end = end.map(|(at, _)| at);
        let end = match (task.abort_asked, task.is_blocking) {
            (false, _) => told.or(end),
            (true, false) => end,
            (true, true) => None,
        };
        (start.map(|start| (start, end.unwrap_or(start))), fails)
    }

    fn follows(&mut self, before: Span, after: Span, name: &str) {
        if let (Some((_, end)), Some((start, _))) = (before, after) {
            if start < end {
                let what = format!("{name}: began at {start}, what is before it ended at {end}");
                self.found.push(Violation::new(Broken::Order, what));
            }
        }
    }

    fn name(&self, member: &Member) -> String {
        match member {
            Member::Task(nth) => self.history.tasks[*nth].name.clone(),
            Member::List(list) => match list.members.first() {
                Some(first) => format!("the list with {}", self.name(first)),
                None => "an empty list".to_owned(),
            },
        }
    }
}

fn both(one: Span, other: Span) -> Span {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        _ => one.or(other),
    }
}
