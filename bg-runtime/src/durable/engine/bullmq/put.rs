//! Storing: one step for all tasks of a batch.

use ::redis::ScriptInvocation;

use super::Common;
use super::failure::store_error;
use super::fields::{self, millis, wait};
use super::scripts::call;
use crate::durable::error::StoreError;
use crate::durable::put::is_queue;
use crate::durable::{Kept, Stored};

pub(super) async fn store(shared: &Common, batch: &[Stored]) -> Result<Vec<Kept>, StoreError> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    if let Some(task) = batch.iter().find(|task| !is_queue(&task.queue)) {
        let why = format!("a queue cannot have the name {:?}", task.queue);
        return Err(StoreError::refused(why));
    }
    let mut script = call(&shared.prefix, |scripts| &scripts.store);
    for task in batch {
        add(&mut script, task);
    }
    // What is there under its id is stored, so it may run twice.
    let kept: Result<Vec<String>, _> = shared.link.run_again(&script).await;
    let kept = kept.map_err(|error| store_error(error, shared.limit))?;
    let kept = kept.into_iter().map(|holder| match &*holder {
        "" => Kept::Stored,
        holder => Kept::Taken(holder.parse().ok()),
    });
    Ok(kept.collect())
}

fn add(script: &mut ScriptInvocation<'_>, task: &Stored) {
    let id = task.id.to_string();
    let options = serde_json::json!({"attempts": task.runs.max(1), "jobId": id});
    // BullMQ's 0 is the list that most tasks are in.
    let priority = task.priority.saturating_sub(1);
    let priority = if priority == 0 { 0 } else { priority + 1 };
    let unique = task.unique.as_ref();
    let slots = unique.map_or(0, |unique| unique.slots);
    let period = unique.and_then(|unique| unique.period);
    script
        .arg(&id)
        .arg(task.name)
        .arg(&*task.queue)
        .arg(fields::data(task))
        .arg(options.to_string())
        .arg(priority)
        .arg(
            task.due
                .map(|due| millis(due).to_string())
                .unwrap_or_default(),
        )
        .arg(task.key.as_deref().unwrap_or_default())
        .arg(unique.map_or("", |unique| &*unique.value))
        .arg(slots)
        .arg(
            period
                .map(|period| wait(period).max(1).to_string())
                .unwrap_or_default(),
        )
        .arg(if slots > 1 { fastrand::u32(..slots) } else { 0 });
}
