//! The codec by text, for the tests of this workspace and for nothing else: what crosses to a store is private.

use serde_json::value::RawValue;

use crate::secret_key::SecretKey;
use crate::task::{BoxError, BoxTask, DurableDef, IntoTask, durable_by_name};

/// Writes the arguments of a task.
pub fn text_of(
    task: impl IntoTask,
    keys: impl IntoIterator<Item = SecretKey>,
) -> Result<String, BoxError> {
    let arguments = task.into_task().put(&keys.into_iter().collect())?;
    Ok(arguments.get().to_owned())
}

/// Makes the registered task of this name, which may be an old one, of its arguments.
pub fn task_of(
    name: &str,
    arguments: &str,
    keys: impl IntoIterator<Item = SecretKey>,
) -> Result<BoxTask, BoxError> {
    let arguments: &RawValue = serde_json::from_str(arguments)?;
    durable(name)?.take(arguments, &keys.into_iter().collect())
}

/// Shows the arguments of the registered task of this name.
pub fn shown_text(name: &str, arguments: &str) -> Result<String, BoxError> {
    let arguments: &RawValue = serde_json::from_str(arguments)?;
    Ok(durable(name)?.redact(arguments))
}

/// Returns what makes the task the same as another.
pub fn unique_text(task: impl IntoTask) -> Option<String> {
    task.into_task().unique_value()
}

fn durable(name: &str) -> Result<&'static DurableDef, BoxError> {
    let def = durable_by_name(name).and_then(|def| def.durable_def());
    def.ok_or_else(|| format!("no durable task is called `{name}`").into())
}
