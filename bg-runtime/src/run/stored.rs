//! One run of a stored task, for the worker that has claimed it: decode, run once, and say what became of it.
//!
//! The store counts the attempts and does the waiting, so this knows one run. Its entry in the books lives for that
//! run: where the task goes back to the store, it ends as [`Outcome::Returned`].

use std::collections::HashSet;
use std::future::poll_fn;
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::abortable::until_aborted;
use super::attempt::attempt;
use super::begin::acquire;
use super::ledger::{EntryKey, SettledBefore};
use super::limits::{ListSlot, RunLease};
use super::next_run::wait_for_next_run;
use super::outcome::{Outcome, RunError};
use super::task::TaskEnd;
use super::worker::Worker;
use super::{AcceptedTask, Runner, report};
use crate::clock;
use crate::contain::Contained;
use crate::durable::{Claimed, Envelope, MOST_LOSSES, OpenStore, RunFailure, Verdict};
use crate::log_target::RUNTIME;
use crate::one_line::OneLine;
use crate::sync::Mutex;
use crate::task::{
    AbortReason, BoxError, BoxTask, Chain, FailureKind, RequestInfo, SkipReason, TaskInfo, Tracker,
    Watcher, durable_by_name,
};

/// How long a run waits for the limits of its process before it goes back to the store, where another process may
/// take it.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a task that this process cannot read stays away from it.
const UNREADABLE: Duration = Duration::from_secs(60);

/// How long a task may be unreadable before it is dead: until then, a newer worker may come that can read it.
const GIVE_UP_READING: Duration = Duration::from_secs(24 * 60 * 60);

/// The time that a run has to end by itself when it was cancelled, or its claim is lost.
const GRACE: Duration = Duration::from_secs(1);

/// How often the store is told of a task's progress at most.
const PROGRESS: Duration = Duration::from_millis(100);

/// More than this many unreadable tasks are reported again.
const MOST_REPORTED: usize = 10_000;

const RETURNED: Outcome = Outcome::Returned { given_back: false };

/// What goes back at once, because this process stops.
const GIVEN_BACK: Verdict = Verdict::Returned {
    wait: Duration::ZERO,
};

/// The tasks of which it was reported that they cannot be read.
#[derive(Default)]
pub(super) struct Unreadable(Mutex<HashSet<crate::task::TaskId>>);

impl Unreadable {
    /// Returns whether the task was not reported yet.
    fn is_news(&self, task: crate::task::TaskId) -> bool {
        let mut reported = self.0.lock();
        if reported.len() >= MOST_REPORTED {
            reported.clear();
        }
        reported.insert(task)
    }
}

/// Runs a claimed task once, where tasks run. Dropping the future lets the run go on.
pub(super) fn run_stored(runner: &Arc<Runner>, claimed: Claimed) -> BoxFuture<'static, Verdict> {
    let (tell, told) = oneshot::channel();
    let here = runner.clone();
    runner.spawn(async move {
        let Some(worker) = &here.worker else { return };
        // A task that its handle has aborted has left the books before this hears of it, and a shutdown that found them
        // idle would end this in between: the store would have the task run again.
        let _until_told = here.hold();
        let verdict = run_claimed(&here, worker, claimed).await;
        // Nobody hears of it if the worker itself was dropped. Its lease ends then.
        let _ = tell.send(verdict);
    });
    // The end of a shutdown drops what is spawned.
    async move { told.await.unwrap_or(GIVEN_BACK) }.boxed()
}

async fn run_claimed(runner: &Arc<Runner>, worker: &Worker, claimed: Claimed) -> Verdict {
    let store = worker.store();
    let Some(def) = durable_by_name(&claimed.name) else {
        // No engine gives a task of a name that the desk does not have.
        return Verdict::Returned { wait: UNREADABLE };
    };
    let info = TaskInfo::declared(def);
    let envelope = Envelope::from_json(&claimed.envelope);
    let request = envelope.request.map(RequestInfo::of_stored).map(Arc::new);
    let Some(durable) = info.durable() else {
        return Verdict::Returned { wait: UNREADABLE };
    };
    let decoded = match too_large(&claimed, store.settings().max_payload) {
        Some(error) => Err(error),
        None => durable.take_as(claimed.id, &claimed.arguments, store.secret_keys()),
    };
    let (task, error) = match decoded {
        Ok(task) => (task, None),
        Err(error) => (BoxTask::unreadable(claimed.id, info), Some(error)),
    };
    let mut task = task.claimed(claimed.runs);
    if envelope.timeout.is_some() {
        task.options_mut().timeout = envelope.timeout;
    }
    if !envelope.baggage.is_empty() {
        let baggage = envelope.baggage.into_iter().collect();
        task.options_mut().baggage = Some(Arc::new(baggage));
    }
    let tracker = Tracker::new(info, claimed.id);
    let progress = Watcher::new(tracker.tracked().clone());
    let accepted = runner.accept_claimed(task, request, tracker);
    if let Some(error) = error {
        return unreadable(runner, worker, accepted, &claimed, error);
    }
    if claimed.losses > MOST_LOSSES {
        let error = format!("it has lost its worker {} times", claimed.losses);
        let failure = RunFailure::new(FailureKind::Lost, error.clone());
        let error = RunError {
            kind: FailureKind::Lost,
            error: Contained::new(error.into()),
        };
        let skipped = Default::default();
        let _ = accepted.settle(Outcome::Failed { error, skipped });
        return Verdict::Failed {
            failure,
            retry_in: None,
        };
    }
    let is_first = claimed.failures == 0 && claimed.losses == 0;
    if is_first && envelope.expires_at.is_some_and(|at| at <= clock::now()) {
        accepted.skip(SkipReason::Expired);
        let expired = RunFailure::new(FailureKind::Skipped, SkipReason::Expired.to_string());
        return Verdict::Cancelled(expired);
    }
    let key = accepted.guard.key();
    let own_cancel = runner.cancellation(runner.signals()).child_token();
    let run = run_once(runner, accepted, &claimed, own_cancel.clone());
    let mut run = pin!(until_aborted(&**runner, key, run));
    let mut telling = pin!(tell_progress(store, progress.clone()));
    let stop = &claimed.stop;
    let ended = tokio::select! {
        biased;
        ended = &mut run => Some(ended),
        () = stop.lost.cancelled() => None,
        () = stop.cancelled.cancelled() => None,
        () = &mut telling => unreachable!("the task has not ended"),
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => {
            own_cancel.cancel();
            tokio::time::timeout(GRACE, &mut run).await.ok()
        }
    };
    match ended {
        Some(Some(Ran::Not(verdict))) => verdict,
        Some(Some(Ran::Once(accepted, ended))) => {
            // Before the outcome: a shutdown that finds it in the books ends this, and the store would not hear of it.
            tell_last_progress(store, progress).await;
            settle_run(runner, accepted, &claimed, ended)
        }
        // Its handle has settled it.
        Some(None) => aborted_by_handle(),
        None if stop.lost.is_cancelled() => {
            lose(runner, key, &claimed);
            GIVEN_BACK
        }
        None => {
            super::settle::settle(runner, key, Outcome::Aborted(AbortReason::Cancelled));
            Verdict::Cancelled(cancelled(AbortReason::Cancelled))
        }
    }
}

/// Says of arguments that they are larger than this worker takes. Who has stored them may take more.
fn too_large(claimed: &Claimed, limit: usize) -> Option<BoxError> {
    let arguments = claimed.arguments.get();
    if arguments.len() <= limit {
        return None;
    }
    let size = compact_len(arguments);
    (size > limit).then(|| {
        format!(
            "its arguments take {size} bytes, and this worker takes at most {limit}: raise its `max_payload(..)`, or \
             leave the task to others with `only(..)` or a queue of its own"
        )
        .into()
    })
}

/// Returns how long this JSON was when it was stored, at most: databases put spaces into it, and write small and large
/// numbers out.
fn compact_len(json: &str) -> usize {
    /// As many digits as a number of 64 bits ever has in JSON.
    const DIGITS: usize = 24;
    let (mut in_text, mut is_escaped, mut digits, mut len) = (false, false, 0, 0);
    for byte in json.bytes() {
        if in_text {
            (in_text, is_escaped) = (is_escaped || byte != b'"', !is_escaped && byte == b'\\');
            len += 1;
            continue;
        }
        digits = if matches!(byte, b'0'..=b'9' | b'.') {
            digits + 1
        } else {
            0
        };
        in_text = byte == b'"';
        if !byte.is_ascii_whitespace() && digits <= DIGITS {
            len += 1;
        }
    }
    len
}

fn cancelled(reason: AbortReason) -> RunFailure {
    RunFailure::new(FailureKind::Aborted, reason.to_string())
}

/// What became of a task that was to run.
enum Ran {
    /// It did not, and is settled.
    Not(Verdict),
    /// How it ended, which is not settled yet.
    Once(AcceptedTask, Result<(), RunError>),
}

/// Runs the task once.
async fn run_once(
    runner: &Arc<Runner>,
    mut accepted: AcceptedTask,
    claimed: &Claimed,
    own_cancel: CancellationToken,
) -> Ran {
    accepted.keep_arguments();
    let info = accepted.task.info();
    let timeout = runner.timeout_of(&accepted.task);
    let mut slot = ListSlot::unlimited();
    let acquired = acquire(runner, &mut accepted, false, None, &mut slot);
    let mut permits = match tokio::time::timeout(PATIENCE, acquired).await {
        Ok(Ok(permits)) => permits,
        Ok(Err(no_run)) => {
            return Ran::Not(match no_run.settle(accepted) {
                Err(TaskEnd::AbortedByHandle(_)) => aborted_by_handle(),
                _ => GIVEN_BACK,
            });
        }
        Err(_) => {
            let verdict = Verdict::Returned { wait: PATIENCE };
            return Ran::Not(unless_aborted(accepted.settle(RETURNED), verdict));
        }
    };
    let number = claimed.attempt;
    let Some(started) = accepted.guard.start(number, &accepted.task) else {
        let given_back = Outcome::Returned { given_back: true };
        return Ran::Not(unless_aborted(accepted.settle(given_back), GIVEN_BACK));
    };
    runner.limits.start(&accepted.permits);
    permits.begin();
    let lease = info
        .is_blocking()
        .then(|| RunLease::new(take(&mut permits), &mut slot));
    let ended = attempt(
        runner,
        &mut accepted,
        started,
        lease.as_ref(),
        number,
        timeout,
        Some(own_cancel),
    )
    .await;
    drop(permits);
    if let Some(lease) = lease {
        lease.end(&mut slot);
    }
    Ran::Once(accepted, ended)
}

/// Settles the entry of a run that has ended, and says what became of it.
fn settle_run(
    runner: &Arc<Runner>,
    accepted: AcceptedTask,
    claimed: &Claimed,
    ended: Result<(), RunError>,
) -> Verdict {
    let info = accepted.task.info();
    let number = claimed.attempt;
    if claimed.stop.lost.is_cancelled() {
        lose(runner, accepted.guard.key(), claimed);
        return GIVEN_BACK;
    }
    let error = match ended {
        Ok(()) => return unless_aborted(accepted.settle(Outcome::Completed), Verdict::Completed),
        Err(error) => error,
    };
    if error.aborted().is_some() {
        // Its runtime is shutting down, and had no thread for it.
        let given_back = Outcome::Returned { given_back: true };
        return unless_aborted(accepted.settle(given_back), GIVEN_BACK);
    }
    let failure = run_failure(&error);
    if claimed.stop.cancelled.is_cancelled() {
        let _ = accepted.settle(Outcome::Aborted(AbortReason::Cancelled));
        return Verdict::Cancelled(failure);
    }
    let failures = claimed.failures.saturating_add(1);
    let retry_in = (failures < claimed.runs)
        .then(|| wait_for_next_run(&info, failures, &error))
        .flatten();
    let settled = match retry_in {
        Some(wait) => {
            let span = accepted.task.span();
            let retries = claimed.runs.saturating_sub(1);
            let guard = &accepted.guard;
            let _is_open = guard.wait_again(span, number, retries, error, wait);
            accepted.settle(RETURNED)
        }
        None => {
            let skipped = Default::default();
            accepted.settle(Outcome::Failed { error, skipped })
        }
    };
    unless_aborted(settled, Verdict::Failed { failure, retry_in })
}

/// Returns what the store is told of a run: the verdict, unless the task's handle was faster. Who has aborted it was
/// told that it does not run again.
fn unless_aborted(settled: Result<(), SettledBefore>, verdict: Verdict) -> Verdict {
    match settled {
        Err(SettledBefore::ByHandle) => aborted_by_handle(),
        // What a shutdown has given up on in the last moment has ended all the same.
        Ok(()) | Err(SettledBefore::Otherwise) => verdict,
    }
}

fn aborted_by_handle() -> Verdict {
    Verdict::Cancelled(cancelled(AbortReason::Handle))
}

/// What the store keeps of an error.
fn run_failure(error: &RunError) -> RunFailure {
    let text = OneLine(Chain(&**error.error)).to_string();
    RunFailure::new(error.kind, text)
}

/// Settles a run whose claim is lost: nothing that it says counts, and the task runs elsewhere.
fn lose(runner: &Arc<Runner>, key: EntryKey, claimed: &Claimed) {
    let error = RunError {
        kind: FailureKind::Lost,
        error: Contained::new(
            "the store has given it to another worker, because this one was silent for too long"
                .into(),
        ),
    };
    if let Some(failed) = runner.ledger.wait_again(key, claimed.attempt, claimed.runs) {
        let span = tracing::Span::current();
        report::fail_run(
            runner,
            failed,
            &span,
            claimed.attempt,
            error,
            Duration::ZERO,
        );
        super::settle::settle(runner, key, RETURNED);
    }
}

/// Settles a task that cannot be read: it goes back, because a newer worker may be able to, until it has been there
/// for a day.
fn unreadable(
    runner: &Arc<Runner>,
    worker: &Worker,
    accepted: AcceptedTask,
    claimed: &Claimed,
    error: BoxError,
) -> Verdict {
    let failure = RunFailure::new(
        FailureKind::Undecodable,
        OneLine(Chain(&*error)).to_string(),
    );
    let error = RunError {
        kind: FailureKind::Undecodable,
        error: Contained::new(error),
    };
    let age = clock::now().duration_since(claimed.stored_at);
    if age.unwrap_or_default() >= GIVE_UP_READING {
        let skipped = Default::default();
        let _ = accepted.settle(Outcome::Failed { error, skipped });
        return Verdict::Failed {
            failure,
            retry_in: None,
        };
    }
    if worker.unreadable.is_news(claimed.id) {
        let key = accepted.guard.key();
        if let Some(failed) = runner.ledger.wait_again(key, claimed.attempt, claimed.runs) {
            let span = accepted.task.span();
            report::fail_run(runner, failed, span, claimed.attempt, error, UNREADABLE);
        }
    }
    let verdict = Verdict::Unreadable {
        failure,
        wait: UNREADABLE,
    };
    unless_aborted(accepted.settle(RETURNED), verdict)
}

/// Tells the store of each progress that the task reports, but not too often. Never ends before the task does.
async fn tell_progress(store: &OpenStore, mut progress: Watcher) {
    let id = progress.tracked().id();
    while let Some(latest) = poll_fn(|cx| progress.poll_progress(cx)).await {
        if let Err(error) = store.engine().set_progress(id, latest).await {
            tracing::debug!(
                target: RUNTIME,
                {
                    task.id = %id,
                    %error,
                },
                "the progress of a task was not stored"
            );
        }
        tokio::time::sleep(PROGRESS).await;
    }
    std::future::pending::<()>().await;
}

/// Tells the store of the last progress of a task that has ended, if it may not know it.
async fn tell_last_progress(store: &OpenStore, progress: Watcher) {
    if let Some(latest) = progress.tracked().latest() {
        let id = progress.tracked().id();
        // Not for ever, because the outcome waits behind it.
        let _ = store.ask(store.engine().set_progress(id, latest)).await;
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::compact_len;

    #[test]
    fn spaces_and_digits_that_a_database_adds_do_not_count() {
        for (stored, read) in [
            (
                "{\"a\":[1,2],\"b\":\"x y\"}",
                "{\"a\": [1, 2], \"b\": \"x y\"}",
            ),
            (
                "{\"a\":\"\\\"  \\\\\",\"b\":1}",
                "{\"a\": \"\\\"  \\\\\", \"b\": 1}",
            ),
        ] {
            assert_eq!(compact_len(read), stored.len(), "{read}");
            assert_eq!(compact_len(stored), stored.len(), "{stored}");
        }
        let written_out = format!("[1{}, 2]", "0".repeat(300));
        assert_eq!(compact_len(&written_out), "[,2]".len() + 24);
    }
}
