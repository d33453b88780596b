//! Running what was recorded, in the future that the test awaits.

use std::mem::take;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;

use super::recording::{Batch, Cause, Recording};
use crate::run::Runner;
use crate::run::limits::ListSlot;
use crate::run::order::run_lists;
use crate::task::TaskFailure;

/// Runs the recorded tasks, and those that they queue, until none is left. Returns the failures since the
/// call.
///
/// One batch runs after the other. A task that is spawned meanwhile does not wait for its turn, because
/// the running task may wait for its handle.
pub(crate) async fn replay(runner: &Arc<Runner>, recording: &Recording) -> Vec<TaskFailure> {
    let begin = recording.position();
    let mut in_turn = None;
    let mut beside = FuturesUnordered::new();
    loop {
        // Yields now and then: tasks that queue each other for ever must leave the test's own timeout a
        // chance.
        tokio::task::consume_budget().await;
        if in_turn.is_none() {
            in_turn = next_in_turn(runner, recording);
        }
        if in_turn.is_none() && beside.is_empty() {
            break;
        }
        tokio::select! {
            biased;
            Some(()) = OptionFuture::from(in_turn.as_mut()) => in_turn = None,
            Some(()) = beside.next() => {}
            () = recording.more.notified() => {
                let spawned = recording.take_spawned_since(&begin);
                beside.extend(spawned.into_iter().map(|batch| run_batch(runner, batch)));
            }
        }
    }
    recording.failures_since(&begin)
}

/// Returns the run of the next batch. If there is none, waits for the next error hook instead, which may
/// queue tasks as well.
fn next_in_turn(runner: &Arc<Runner>, recording: &Recording) -> Option<BoxFuture<'static, ()>> {
    let mut tape = recording.tape.lock();
    if let Some(batch) = tape.batches.pop_front() {
        return Some(run_batch(runner, batch));
    }
    // A join error is no failure here: `hooks` has logged the hook's panic.
    tape.hooks
        .pop_front()
        .map(|hook| hook.map(|_told| ()).boxed())
}

/// Runs the lists of a batch in the scope that they would have outside of a test.
///
/// Not subject to `max_concurrent`: batches take turns, and one may wait for another.
fn run_batch(runner: &Arc<Runner>, batch: Batch) -> BoxFuture<'static, ()> {
    let runner = runner.clone();
    let Batch { cause, lists, .. } = batch;
    async move {
        let run = run_lists(runner, lists, ListSlot::unlimited());
        match cause {
            Cause::Response(scope) | Cause::Late(scope) => scope.scope(run).await,
            Cause::Spawn => run.await,
        }
    }
    .boxed()
}

/// A moment of a recording.
struct Position {
    batches: u64,
    failures: usize,
}

impl Recording {
    fn position(&self) -> Position {
        let tape = self.tape.lock();
        Position {
            batches: tape.recorded,
            failures: tape.failures.len(),
        }
    }

    fn take_spawned_since(&self, begin: &Position) -> Vec<Batch> {
        let mut tape = self.tape.lock();
        let batches = take(&mut tape.batches);
        let (spawned, others) = batches.into_iter().partition(|batch| {
            batch.number >= begin.batches && matches!(batch.cause, Cause::Spawn)
        });
        tape.batches = others;
        Vec::from(spawned)
    }

    fn failures_since(&self, begin: &Position) -> Vec<TaskFailure> {
        self.tape.lock().failures[begin.failures..].to_vec()
    }
}
