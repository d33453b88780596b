//! Stored tasks that are held until their response has been sent (`hold_until_sent`).
//!
//! They are stored as due two leases later. While the response is being sent that is put off again and again, and when
//! it has been sent they are released, all of one moment in one write. If this process dies in between, they start
//! when the time is up.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;

use super::Runner;
use crate::clock;
use crate::durable::OpenStore;
use crate::log_target::RUNTIME;
use crate::sync::Mutex;
use crate::task::TaskId;

/// How long is waited before a store is asked again that did not answer.
const AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct HeldTasks {
    state: Mutex<HeldState>,
    changed: Notify,
}

#[derive(Default)]
struct HeldState {
    /// Each with when it is due by itself, if that is later.
    held: HashMap<TaskId, Option<SystemTime>>,
    released: Vec<(TaskId, Option<SystemTime>)>,
    /// Whether a future takes care of them.
    is_kept: bool,
}

/// Returns when a task is due that is stored now and held.
pub(super) fn held_until(store: &OpenStore) -> SystemTime {
    let now = clock::now();
    now.checked_add(store.settings().lease * 2).unwrap_or(now)
}

/// Keeps tasks held that are stored.
pub(super) fn hold(
    runner: &Arc<Runner>,
    held: &Arc<HeldTasks>,
    store: &Arc<OpenStore>,
    tasks: impl IntoIterator<Item = (TaskId, Option<SystemTime>)>,
) {
    let is_kept = {
        let state = &mut *held.state.lock();
        state.held.extend(tasks);
        std::mem::replace(&mut state.is_kept, true)
    };
    if !is_kept {
        let (held, store) = (held.clone(), store.clone());
        // A shutdown waits until they are released.
        let hold = runner.hold();
        runner.spawn_here(async move {
            keep(&held, &store).await;
            drop(hold);
        });
    }
}

/// Releases tasks whose response has been sent.
pub(super) fn release(held: &HeldTasks, tasks: &[TaskId]) {
    {
        let state = &mut *held.state.lock();
        for task in tasks {
            if let Some(due) = state.held.remove(task) {
                state.released.push((*task, due));
            }
        }
    }
    held.changed.notify_one();
}

/// Puts held tasks off and releases others, until there are none.
async fn keep(held: &HeldTasks, store: &OpenStore) {
    let every = store.settings().lease;
    let mut put_off_at = tokio::time::Instant::now() + every;
    loop {
        let released = {
            let state = &mut *held.state.lock();
            if state.released.is_empty() && state.held.is_empty() {
                state.is_kept = false;
                return;
            }
            take(&mut state.released)
        };
        if !released.is_empty() && !write(store, &released).await {
            held.state.lock().released.extend(released);
            tokio::time::sleep(AGAIN).await;
            continue;
        }
        tokio::select! {
            biased;
            () = held.changed.notified() => {}
            () = tokio::time::sleep_until(put_off_at) => {
                let tasks: Vec<_> = held.state.lock().held.keys().copied().collect();
                if !tasks.is_empty() {
                    let put_off = store.engine().postpone(tasks, held_until(store));
                    if let Err(error) = store.ask(put_off).await {
                        tracing::warn!(target: RUNTIME, %error, "held tasks may start before their response has been sent");
                    }
                }
                put_off_at = tokio::time::Instant::now() + every;
            }
        }
    }
}

/// Tells the store that tasks are due. Returns `false` if it does not answer.
async fn write(store: &OpenStore, released: &[(TaskId, Option<SystemTime>)]) -> bool {
    let now = clock::now();
    let (later, due): (Vec<_>, Vec<_>) = released
        .iter()
        .partition(|(_, due)| due.is_some_and(|due| due > now));
    let due: Vec<_> = due.into_iter().map(|(task, _)| task).collect();
    if !due.is_empty() && store.ask(store.engine().release(due)).await.is_err() {
        return false;
    }
    for (task, due) in later {
        let due = due.unwrap_or(now);
        if store
            .ask(store.engine().postpone(vec![task], due))
            .await
            .is_err()
        {
            return false;
        }
    }
    true
}
