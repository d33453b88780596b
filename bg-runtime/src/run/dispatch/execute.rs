//! Handing tasks to the executor.

use std::sync::Arc;

use futures_util::FutureExt;

use crate::run::abortable::until_aborted;
use crate::run::begin::{may_end_in_line, run_in_turn};
use crate::run::limits::ListTurn;
use crate::run::order::{run_lists, run_single};
use crate::run::{AcceptedTask, EntryKey, Runner};
use crate::scope::Scope;
use crate::task::TaskList;

/// Runs a request's lists one after the other, when their turn has come. They may start on any thread,
/// because the response has been sent.
pub(super) fn lists<const N: usize>(
    runner: &Arc<Runner>,
    scope: Scope,
    mut lists: [TaskList<AcceptedTask>; N],
) {
    runner.ensure_pending(&mut lists);
    let owned = runner.clone();
    // The future of `run_lists` is large, so it is boxed: tokio moves what it spawns a dozen times, and
    // lists that wait for their turn need no space for it yet.
    match runner.limits.line_up() {
        ListTurn::Now(slot) => {
            let run = Box::pin(run_lists(owned, lists, slot));
            runner.spawn(scope.scope(run));
        }
        ListTurn::Later(turn) => {
            let lists = lists.into_iter().filter(|list| !list.is_empty());
            let lists = lists.collect::<Vec<_>>();
            let run = turn
                .wait()
                .then(|slot| Box::pin(run_lists(owned, lists, slot)));
            runner.spawn(scope.scope(run));
        }
    }
}

/// Runs one task, when its turn has come. Its handle can abort it while it waits for that as well.
pub(super) fn single(runner: &Arc<Runner>, task: AcceptedTask) {
    runner.limits.ensure_pending(&task.permits);
    let (owned, key) = (runner.clone(), task.guard.key());
    let run = |owned, task, slot| Box::pin(run_single(owned, task, slot));
    match runner.limits.line_up() {
        ListTurn::Now(slot) => spawn(runner, key, run(owned, task, slot)),
        ListTurn::Later(turn) if may_end_in_line(&task) => {
            spawn(runner, key, Box::pin(run_in_turn(owned, task, turn)));
        }
        ListTurn::Later(turn) => {
            spawn(
                runner,
                key,
                turn.wait().then(move |slot| run(owned, task, slot)),
            );
        }
    }
}

fn spawn(runner: &Arc<Runner>, task: EntryKey, run: impl Future<Output = ()> + Send + 'static) {
    runner.spawn(until_aborted(runner.clone(), task, run).map(|_ended| ()));
}
