//! The judge finds every kind of violation in a history that has one, and none in a good one.

use bg_runtime::{FailureKind, SkipReason, Stats};

use super::*;
use crate::{
    history::{Closing, End, Handle, List, Member, Request, Run, Sequence, Source, Told},
    plan::When,
};

fn run(attempt: u32, start: Sequence, end: Sequence, how: End) -> Run {
    Run {
        attempt,
        start,
        end: Some((end, how)),
    }
}

fn completed(name: &str, start: Sequence, end: Sequence) -> Task {
    Task {
        name: name.to_owned(),
        request: Some(0),
        source: Source::Handler,
        when: When::Default,
        retries: 0,
        has_timeout: false,
        is_blocking: false,
        is_independent: false,
        may_be_refused: false,
        limits: Vec::new(),
        runs: vec![run(1, start, end, End::Succeeded)],
        told: Vec::new(),
        told_async: Vec::new(),
        handle: Handle::None,
        abort_asked: false,
        unfinished: false,
    }
}

fn told(at: Sequence, kind: FailureKind) -> Told {
    Told {
        at,
        kind,
        error: String::new(),
        reason: None,
        attempt: 1,
        will_retry: false,
    }
}

fn failed(name: &str, start: Sequence, end: Sequence) -> Task {
    Task {
        runs: vec![run(1, start, end, End::Failed)],
        told: vec![told(end + 1, FailureKind::Error)],
        ..completed(name, start, end)
    }
}

/// A task that never ran, and that no hook heard of.
fn silent(name: &str) -> Task {
    Task {
        runs: Vec::new(),
        ..completed(name, 0, 0)
    }
}

fn skipped(name: &str, reason: SkipReason) -> Task {
    Task {
        told: vec![Told {
            reason: Some(reason),
            ..told(50, FailureKind::Skipped)
        }],
        ..silent(name)
    }
}

/// Tasks of one request, in one list, whose response was sent at 100. The counts are right.
fn history(tasks: Vec<Task>) -> History {
    let list = List {
        members: (0..tasks.len()).map(Member::Task).collect(),
        ..List::default()
    };
    let mut history = History {
        tasks,
        requests: vec![Request {
            name: "request 0".to_owned(),
            answered: Some(200),
            last_write: Some(100),
            is_judged: true,
            lists: vec![list],
            ..Request::default()
        }],
        closings: vec![Closing {
            began: 900,
            over: None,
        }],
        ..History::default()
    };
    settle(&mut history);
    history
}

/// Makes the library's counts those of the history.
fn settle(history: &mut History) {
    let counts = count(history, &outcome::all(history));
    let mut stats = Stats::default();
    stats.accepted = counts.accepted;
    stats.completed = counts.completed;
    stats.failed = counts.failed;
    stats.skipped = counts.skipped;
    stats.aborted = counts.aborted;
    history.stats = stats;
    history.reports = vec![Report {
        at: 1000,
        stats,
        unfinished: 0,
    }];
}

/// What is found in the history.
fn found(history: &History) -> Vec<Broken> {
    let (_, violations) = judge(history);
    violations
        .iter()
        .map(|violation| violation.broken)
        .collect()
}

#[test]
fn a_response_that_its_server_has_let_go_of_is_given_up() {
    let mut history = history(vec![completed("first", 101, 110)]);
    history.requests[0].last_write = None;
    assert_eq!(found(&history), [Broken::Early]);
    history.requests[0].gone = Some(102);
    assert_eq!(found(&history), [Broken::Early]);
    history.requests[0].gone = Some(100);
    assert_eq!(found(&history), []);
}

#[test]
fn a_good_history_is_clean() {
    let good = history(vec![
        completed("first", 101, 110),
        failed("second", 111, 120),
        silent("third, behind a failure"),
    ]);
    assert_eq!(found(&good), []);
    let (counts, _) = judge(&good);
    assert_eq!(
        (
            counts.accepted,
            counts.completed,
            counts.failed,
            counts.skipped
        ),
        (3, 1, 1, 1)
    );
    assert_eq!(counts.judged, 2);
}

#[test]
fn a_first_line_before_the_last_byte_is_early() {
    let early = history(vec![completed("early", 99, 110)]);
    assert_eq!(found(&early), [Broken::Early]);

    let mut never_sent = history(vec![completed("early", 101, 110)]);
    never_sent.requests[0].last_write = None;
    assert_eq!(found(&never_sent), [Broken::Early]);

    let mut client_left = never_sent;
    client_left.requests[0].given_up = Some(90);
    assert_eq!(found(&client_left), []);
}

#[test]
fn a_task_without_an_outcome_is_lost() {
    assert_eq!(
        found(&history(vec![silent("lost")])),
        [Broken::Lost, Broken::Counts]
    );

    let mut dropped = completed("lost", 101, 110);
    dropped.runs[0].end = Some((110, End::Dropped));
    assert_eq!(
        found(&history(vec![dropped])),
        [Broken::Lost, Broken::Counts]
    );

    let in_front = history(vec![silent("lost"), failed("failed", 101, 110)]);
    assert_eq!(found(&in_front), [Broken::Lost, Broken::Counts]);

    let mut goes_on = history(vec![failed("failed", 101, 110), silent("lost")]);
    goes_on.requests[0].lists[0].continue_on_error = true;
    settle(&mut goes_on);
    assert_eq!(found(&goes_on), [Broken::Lost, Broken::Counts]);
}

#[test]
fn an_outcome_of_an_unknown_task_is_lost() {
    let mut strange = history(Vec::new());
    strange.strangers.push("who is this".to_owned());
    assert_eq!(found(&strange), [Broken::Lost]);
}

#[test]
fn a_second_run_or_outcome_is_twice() {
    let mut two_runs = completed("twice", 101, 110);
    two_runs.runs.push(run(1, 120, 130, End::Succeeded));
    // More than allowed, and no failure asked for it.
    assert_eq!(
        found(&history(vec![two_runs])),
        [Broken::Twice, Broken::Twice]
    );

    let mut unasked = completed("twice", 101, 110);
    unasked.retries = 1;
    unasked.runs.push(run(2, 120, 130, End::Succeeded));
    assert_eq!(found(&history(vec![unasked.clone()])), [Broken::Twice]);
    unasked.told.push(Told {
        will_retry: true,
        ..told(115, FailureKind::Error)
    });
    assert_eq!(found(&history(vec![unasked])), []);

    let mut two_outcomes = failed("twice", 101, 110);
    two_outcomes.told.push(told(120, FailureKind::Error));
    assert_eq!(found(&history(vec![two_outcomes])), [Broken::Twice]);

    let mut ran_after = failed("twice", 101, 110);
    ran_after.retries = 1;
    ran_after.told.insert(
        0,
        Told {
            will_retry: true,
            ..told(105, FailureKind::Error)
        },
    );
    ran_after.runs.push(run(2, 120, 130, End::Failed));
    assert_eq!(found(&history(vec![ran_after])), [Broken::Twice]);

    let mut timed_out_unseen = completed("not twice", 120, 130);
    timed_out_unseen.retries = 1;
    timed_out_unseen.runs[0].attempt = 2;
    timed_out_unseen.told.push(Told {
        will_retry: true,
        ..told(115, FailureKind::Timeout)
    });
    assert_eq!(
        found(&history(vec![timed_out_unseen.clone()])),
        [Broken::Twice]
    );
    timed_out_unseen.is_blocking = true;
    assert_eq!(found(&history(vec![timed_out_unseen])), []);

    let mut unfinished = completed("twice", 101, 110);
    unfinished.unfinished = true;
    assert!(found(&history(vec![unfinished])).contains(&Broken::Twice));
}

#[test]
fn signs_that_contradict_each_other_are_wrong() {
    let mut told_of_a_success = completed("wrong", 101, 110);
    told_of_a_success.told.push(told(120, FailureKind::Error));
    assert_eq!(found(&history(vec![told_of_a_success])), [Broken::Wrong]);

    let not_an_error = SkipReason::HandlerCancelled;
    assert_eq!(
        found(&history(vec![skipped("wrong", not_an_error)])),
        [Broken::Wrong]
    );
    let never_attached = SkipReason::NeverAttached;
    assert_eq!(
        found(&history(vec![skipped("wrong", never_attached)])),
        [Broken::Wrong]
    );

    let mut aborted = completed("wrong", 101, 110);
    aborted.runs[0].end = Some((110, End::Dropped));
    aborted.told.push(told(111, FailureKind::Aborted));
    assert_eq!(found(&history(vec![aborted.clone()])), [Broken::Lost]);
    aborted.abort_asked = true;
    assert_eq!(found(&history(vec![aborted])), []);

    let mut refused = silent("wrong");
    refused.told.push(told(50, FailureKind::Rejected));
    assert_eq!(found(&history(vec![refused.clone()])), [Broken::Wrong]);
    refused.may_be_refused = true;
    assert_eq!(found(&history(vec![refused])), []);

    let mut handle = completed("wrong", 101, 110);
    handle.handle = Handle::Failed(FailureKind::Error);
    assert_eq!(found(&history(vec![handle])), [Broken::Wrong]);
    let mut waits = completed("wrong", 101, 110);
    waits.handle = Handle::Waits;
    assert_eq!(found(&history(vec![waits])), [Broken::Wrong]);
}

#[test]
fn a_task_that_runs_against_its_condition_is_wrong() {
    let mut error = history(vec![completed("wrong", 101, 110)]);
    error.requests[0].answered = Some(404);
    assert_eq!(found(&error), [Broken::Wrong]);
    error.tasks[0].when = When::Always;
    assert_eq!(found(&error), []);

    let mut no_error = history(vec![completed("wrong", 101, 110)]);
    no_error.tasks[0].when = When::OnErrorResponse;
    assert_eq!(found(&no_error), [Broken::Wrong]);
    no_error.tasks[0].runs.clear();
    settle(&mut no_error);
    assert_eq!(
        found(&no_error),
        [],
        "no hook hears of a condition that did not hold"
    );
}

#[test]
fn what_runs_before_its_turn_is_out_of_order() {
    let tasks = || vec![completed("first", 101, 120), completed("second", 110, 130)];
    let mut overlapping = history(tasks());
    assert_eq!(found(&overlapping), [Broken::Order]);
    overlapping.requests[0].lists[0].concurrent = true;
    assert_eq!(found(&overlapping), []);

    let list = |nth| List {
        concurrent: true,
        members: vec![Member::Task(nth)],
        ..List::default()
    };
    let mut lists = history(tasks());
    lists.requests[0].lists = vec![list(0), list(1)];
    assert_eq!(found(&lists), [Broken::Order]);

    let behind = history(vec![
        failed("first", 101, 110),
        completed("second", 120, 130),
    ]);
    assert_eq!(found(&behind), [Broken::Order]);
}

#[test]
fn more_runs_at_once_than_a_limit_allows_are_found() {
    let limit = |runs| Limit {
        name: "the key ada".to_owned(),
        runs,
    };
    let tasks = |limit: &Limit| {
        let tasks = [(101, 120), (110, 130), (125, 140)].map(|(start, end)| Task {
            limits: vec![limit.clone()],
            ..completed("limited", start, end)
        });
        let mut history = history(tasks.to_vec());
        history.requests[0].lists[0].concurrent = true;
        history
    };
    assert_eq!(found(&tasks(&limit(2))), []);
    assert_eq!(found(&tasks(&limit(1))), [Broken::Limit]);
}

#[test]
fn counts_of_the_library_that_are_not_the_ledgers_are_found() {
    let mut miscounted = history(vec![completed("counted", 101, 110)]);
    miscounted.stats.completed = 0;
    assert_eq!(found(&miscounted), [Broken::Counts]);

    let mut unbalanced = history(vec![completed("counted", 101, 110)]);
    unbalanced.reports[0].stats.running = 1;
    assert_eq!(found(&unbalanced), [Broken::Counts]);
}

#[test]
fn a_shutdown_that_is_over_before_the_hooks_are_told_is_found() {
    let mut late = history(vec![failed("told late", 101, 110)]);
    late.reports[0].at = 110;
    assert_eq!(found(&late), [Broken::Untold]);
}

#[test]
fn a_sample_of_the_counts_has_to_balance_and_to_stay_within_the_limit() {
    let mut before = Stats::default();
    before.accepted = 5;
    before.pending = 3;
    before.completed = 2;
    assert!(judge_sample(&Stats::default(), &before, Some(3)).is_none());
    let broken = |now: &Stats, limit| judge_sample(&before, now, limit).map(|found| found.broken);
    assert_eq!(broken(&before, Some(2)), Some(Broken::Limit));

    let mut lost = before;
    lost.pending = 2;
    assert_eq!(broken(&lost, None), Some(Broken::Counts));
    let mut shrunk = before;
    (shrunk.completed, shrunk.pending) = (1, 4);
    assert_eq!(broken(&shrunk, None), Some(Broken::Counts));
}

#[test]
fn a_round_is_settled_when_each_outcome_is_known_to_hooks_and_handles() {
    assert!(!is_settled(&history(vec![silent("open")])));
    let mut settled = history(vec![failed("failed", 101, 110)]);
    assert!(is_settled(&settled));
    settled.tells_async = true;
    assert!(!is_settled(&settled));
    settled.tasks[0].told_async.push(120);
    assert!(is_settled(&settled));
}

#[test]
fn a_run_beside_the_one_before_it_is_found() {
    let beside = |second| {
        let again = Told {
            will_retry: true,
            ..told(110, FailureKind::Timeout)
        };
        history(vec![Task {
            retries: 1,
            is_blocking: true,
            has_timeout: true,
            told: vec![again],
            runs: vec![
                run(1, 101, 120, End::Succeeded),
                run(2, second, 130, End::Succeeded),
            ],
            ..completed("overlaps", 101, 130)
        }])
    };
    assert_eq!(found(&beside(121)), []);
    assert_eq!(found(&beside(115)), [Broken::Twice]);
}

/// A task that its handle has aborted in its first run.
fn aborted(name: &str, start: Sequence, end: Sequence) -> Task {
    Task {
        runs: vec![run(1, start, end, End::Dropped)],
        told: vec![told(end - 1, FailureKind::Aborted)],
        abort_asked: true,
        ..completed(name, start, end)
    }
}

#[test]
fn a_run_behind_a_task_that_its_handle_has_aborted_is_found() {
    let aborted_by = SkipReason::EarlierAbort { aborted: "first" };
    let tasks = [aborted("first", 101, 110), completed("second", 111, 120)];
    assert_eq!(found(&history(tasks.to_vec())), [Broken::Order]);
    let skipped = [aborted("first", 101, 110), skipped("second", aborted_by)];
    assert_eq!(found(&history(skipped.to_vec())), []);
}

#[test]
fn an_independent_task_has_an_outcome_of_its_own() {
    let lists = |independent: Task| {
        let mut history = history(vec![failed("first", 101, 110), independent]);
        history.requests[0].lists[0].members.truncate(1);
        settle(&mut history);
        found(&history)
    };
    let mut runs = completed("independent", 101, 120);
    runs.is_independent = true;
    assert_eq!(lists(runs), []);
    let mut lost = silent("independent");
    lost.is_independent = true;
    assert_eq!(lists(lost), [Broken::Lost, Broken::Counts]);
}
