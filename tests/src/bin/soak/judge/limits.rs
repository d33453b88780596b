//! No limit is ever exceeded.

use std::collections::BTreeMap;

use super::{Broken, Violation};
use crate::history::{Limit, Sequence, Task};

/// Judges how many runs each limit saw at once, by the tasks' own first and last lines.
pub(super) fn judge(tasks: &[Task]) -> Vec<Violation> {
    let mut limits: BTreeMap<&Limit, Vec<(Sequence, bool, &Task)>> = BTreeMap::new();
    for task in tasks {
        for limit in &task.limits {
            let events = limits.entry(limit).or_default();
            for run in &task.runs {
                events.push((run.start, true, task));
                events.extend(run.end.map(|(end, _)| (end, false, task)));
            }
        }
    }
    let judged = limits.into_iter();
    judged
        .filter_map(|(limit, events)| exceeded(limit, events))
        .collect()
}

fn exceeded(limit: &Limit, mut events: Vec<(Sequence, bool, &Task)>) -> Option<Violation> {
    events.sort_by_key(|event| event.0);
    let mut running = 0;
    for (at, starts, task) in events {
        if !starts {
            running -= 1;
            continue;
        }
        running += 1;
        if running > limit.runs {
            let what = format!("{}: {limit}, and at {at} it is {running}", task.name);
            return Some(Violation::new(Broken::Limit, what));
        }
    }
    None
}
