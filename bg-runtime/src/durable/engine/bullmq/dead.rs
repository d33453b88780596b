//! Telling of the dead, once.

use std::sync::Arc;
use std::time::Duration;

use super::Common;
use super::failure::store_error;
use super::fields::{Fields, JobKey, status, wait};
use super::scripts::call;
use crate::durable::error::StoreError;
use crate::durable::{StoredState, TaskStatus};
use crate::task::TaskId;

/// Claims the telling, so that of several workers one tells.
pub(super) async fn claim(
    shared: &Common,
    limit: u32,
    again_after: Duration,
) -> Result<Vec<TaskStatus>, StoreError> {
    let mut script = call(&shared.prefix, |scripts| &scripts.dead);
    script.arg(limit).arg(wait(again_after));
    let dead = shared.link.run(&script).await;
    let dead: Vec<(String, String, Fields)> =
        dead.map_err(|error| store_error(error, shared.limit))?;
    let dead = dead.into_iter().map(|(queue, id, fields)| {
        let job = JobKey {
            queue: Arc::from(queue),
            id,
        };
        status(&job, StoredState::Dead, &fields)
    });
    Ok(dead.collect())
}

pub(super) async fn note_told(shared: &Common, tasks: &[TaskId]) -> Result<(), StoreError> {
    let mut script = call(&shared.prefix, |scripts| &scripts.dead);
    script.arg("told");
    for task in tasks {
        script.arg(task.to_string());
    }
    let noted: Result<::redis::Value, _> = shared.link.run_again(&script).await;
    noted
        .map(drop)
        .map_err(|error| store_error(error, shared.limit))
}
