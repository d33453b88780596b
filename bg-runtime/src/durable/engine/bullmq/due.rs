//! When tasks are due that wait for something.

use std::time::SystemTime;

use super::Common;
use super::failure::store_error;
use super::fields::millis;
use super::scripts::call;
use crate::durable::error::StoreError;
use crate::task::TaskId;

/// Has tasks that are scheduled or wait be due at this time.
pub(super) async fn postpone(
    shared: &Common,
    tasks: &[TaskId],
    due: SystemTime,
) -> Result<(), StoreError> {
    set(shared, &millis(due).to_string(), true, tasks).await
}

/// Has tasks that are scheduled be due now.
pub(super) async fn release(shared: &Common, tasks: &[TaskId]) -> Result<(), StoreError> {
    set(shared, "", false, tasks).await
}

async fn set(
    shared: &Common,
    due: &str,
    waiting_too: bool,
    tasks: &[TaskId],
) -> Result<(), StoreError> {
    let mut script = call(&shared.prefix, |scripts| &scripts.due);
    script.arg(due).arg(if waiting_too { "1" } else { "0" });
    for task in tasks {
        script.arg(task.to_string());
    }
    let moved: Result<u64, _> = shared.link.run_again(&script).await;
    moved
        .map(drop)
        .map_err(|error| store_error(error, shared.limit))
}
