//! Running what was recorded, where the test waits for it.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;

use super::{Batch, Cause, Recording};
use crate::collect::scope;
use crate::run::Runner;
use crate::run::limits::Slot;
use crate::task::TaskFailure;

impl Runner {
    /// Runs what is recorded, and what that queues, until nothing is left. The failures meanwhile.
    ///
    /// One batch runs after the other. A task that is spawned meanwhile need not wait for its turn: the
    /// task that runs may wait for its handle.
    pub(crate) async fn run_recorded(self: &Arc<Self>) -> Vec<TaskFailure> {
        let Some(recording) = &self.recording else {
            return Vec::new();
        };
        let begin = recording.position();
        let mut in_turn = None;
        let mut beside = FuturesUnordered::new();
        loop {
            // Tasks that queue each other for ever leave the test's own timeout a chance.
            tokio::task::consume_budget().await;
            if in_turn.is_none() {
                in_turn = self.next_in_turn(recording);
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
                    beside.extend(spawned.into_iter().map(|batch| self.run_batch(batch)));
                }
            }
        }
        recording.failures_since(&begin)
    }

    /// The next batch; or, where there is none, the next error hook, which may queue tasks as well.
    fn next_in_turn(self: &Arc<Self>, recording: &Recording) -> Option<BoxFuture<'static, ()>> {
        let mut tape = recording.tape();
        if let Some(batch) = tape.batches.pop_front() {
            return Some(self.run_batch(batch));
        }
        // The panic of a hook has been logged.
        tape.hooks
            .pop_front()
            .map(|hook| hook.map(|_told| ()).boxed())
    }

    /// Runs the lists of a batch in the scope that they would have. It takes no place of
    /// `max_concurrent`: batches have turns already, and one that runs beside another may be waited for.
    fn run_batch(self: &Arc<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        let runner = self.clone();
        let Batch { cause, lists, .. } = batch;
        async move {
            let run = runner.run_lists(lists, Slot::free());
            match cause {
                Cause::Response(request) | Cause::Late(request) => {
                    scope::scoped(request, run).await;
                }
                Cause::Spawn(stopped) => {
                    stopped.run_until_cancelled(run).await;
                }
            }
        }
        .boxed()
    }
}

/// A moment of a recording.
struct Position {
    batches: u64,
    failures: usize,
}

impl Recording {
    fn position(&self) -> Position {
        let tape = self.tape();
        Position {
            batches: tape.recorded,
            failures: tape.failures.len(),
        }
    }

    fn take_spawned_since(&self, begin: &Position) -> Vec<Batch> {
        let mut tape = self.tape();
        let batches = std::mem::take(&mut tape.batches);
        let (spawned, others) = batches.into_iter().partition(|batch| {
            batch.number >= begin.batches && matches!(batch.cause, Cause::Spawn(_))
        });
        tape.batches = others;
        Vec::from(spawned)
    }

    fn failures_since(&self, begin: &Position) -> Vec<TaskFailure> {
        self.tape().failures[begin.failures..].to_vec()
    }
}
