use std::any::Any;
use std::fmt;
use std::time::Duration;

use serde_core::Serialize;
use serde_core::de::DeserializeOwned;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::macro_support::{DurableTask, put, put_chosen, take};
use super::payload::{ObjectText, canonical, is_doubtful, members, redacted};
use super::{Backoff, BoxError, BoxTask, Task, TaskDef, TaskId, TaskInfo};
use crate::contain::contain;
use crate::one_line::OneLine;
use crate::secret_key::{SecretKey, SecretKeys};

/// How a durable task is stored: the part of a [`TaskDef`] that only a durable task has.
///
/// [`#[background_task(durable)]`](macro@crate::background_task) makes it. A task that is written by hand is durable
/// with [`DurableDef::serde`], and is found in the store only if it is [registered](crate::register):
///
/// ```standalone_crate
/// use bg_runtime::{DurableDef, Task, TaskContext, TaskDef, TaskResult};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct SendReport {
///     month: u8,
///     #[serde(default)]
///     copies: u8,
/// }
///
/// impl Task for SendReport {
///     // What `durable` sets comes first: the calls behind it replace its defaults.
///     const DEF: &'static TaskDef = &TaskDef::new("reports.send")
///         .durable(DurableDef::serde::<Self>().in_queue("slow").unique_by(&["month"]))
///         .retries(5);
///
///     async fn run(self, _: TaskContext) -> TaskResult {
///         // ..
/// #       let _ = (self.month, self.copies);
///         Ok(())
///     }
/// }
///
/// bg_runtime::register!(SendReport);
/// assert_eq!(SendReport::DEF.name(), "reports.send");
/// ```
#[derive(Clone, Copy)]
pub struct DurableDef {
    codec: Codec,
    queue: &'static str,
    unique: Option<SameTask>,
    was: &'static [&'static str],
}

/// The type of a task, erased: how its arguments become JSON and come back.
#[derive(Clone, Copy)]
struct Codec {
    put: fn(&dyn Any, &SecretKeys) -> Result<String, BoxError>,
    take: fn(TaskId, &RawValue, &SecretKeys) -> Result<BoxTask, BoxError>,
    /// Writes the arguments of these names, or all that are no secrets.
    compare: Compare,
    secrets: &'static [&'static str],
    sealed: &'static [&'static str],
}

type Compare = fn(&dyn Any, Option<&[&str]>) -> Result<String, BoxError>;

/// What makes a task the same as another.
#[derive(Debug, Clone, Copy)]
enum SameTask {
    /// All arguments that are no secrets.
    ByAll,
    /// The arguments of these names.
    By(&'static [&'static str]),
}

const DEFAULT_RETRIES: u32 = 20;
const DEFAULT_BACKOFF: Backoff =
    Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60 * 60));
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60 * 60);

impl DurableDef {
    const fn new(codec: Codec) -> Self {
        Self {
            codec,
            queue: "default",
            unique: None,
            was: &[],
        }
    }

    /// Of a task that the attribute made.
    pub(super) const fn declared<T: DurableTask>() -> Self {
        Self::new(Codec {
            put: |task, keys| put(downcast::<T>(task)?, keys),
            take: |id, arguments, keys| Ok(BoxTask::stored(id, take::<T>(arguments, keys)?)),
            compare: |task, names| put_chosen(downcast::<T>(task)?, names),
            secrets: T::SECRETS,
            sealed: T::SEALED,
        })
    }

    /// Stores the whole task with serde, in the queue `default`. It has to be a JSON object, as a struct with named
    /// fields is, or a unit struct. It has no secrets: what must not be stored in clear is left out of it, or is a
    /// `#[secret]` parameter of a [`#[background_task]`](macro@crate::background_task).
    #[must_use]
    pub const fn serde<T: Task + Send + Serialize + DeserializeOwned>() -> Self {
        Self::new(Codec {
            put: |task, _| put_whole(downcast::<T>(task)?),
            take: |id, arguments, _| Ok(BoxTask::stored(id, take_whole::<T>(arguments.get())?)),
            compare: |task, names| compare_whole(downcast::<T>(task)?, names),
            secrets: &[],
            sealed: &[],
        })
    }

    /// Sets the queue: a lane with workers of its own. `default` by default.
    #[must_use]
    pub const fn in_queue(mut self, queue: &'static str) -> Self {
        self.queue = queue;
        self
    }

    /// Has at most one task of this name with the same arguments unfinished at once.
    #[must_use]
    pub const fn unique(mut self) -> Self {
        self.unique = Some(SameTask::ByAll);
        self
    }

    /// Has at most one task of this name with the same values of these arguments unfinished at once.
    #[must_use]
    pub const fn unique_by(mut self, arguments: &'static [&'static str]) -> Self {
        self.unique = Some(SameTask::By(arguments));
        self
    }

    /// Sets the names that the task had before: those that were stored under one of them run as this task.
    #[must_use]
    pub const fn formerly(mut self, names: &'static [&'static str]) -> Self {
        self.was = names;
        self
    }

    pub(crate) fn queue(&self) -> &'static str {
        self.queue
    }

    pub(crate) fn was(&self) -> &'static [&'static str] {
        self.was
    }

    /// Returns whether the declaration says that tasks with the same arguments are the same.
    pub(crate) fn is_unique(&self) -> bool {
        self.unique.is_some()
    }

    /// Makes a task of what is stored. The text may be anything: it comes from outside.
    pub(crate) fn take(
        &self,
        arguments: &RawValue,
        keys: &SecretKeys,
    ) -> Result<BoxTask, BoxError> {
        self.take_as(TaskId::next_stored(), arguments, keys)
    }

    /// Like [`take`](Self::take), with the id that the task was stored with.
    pub(crate) fn take_as(
        &self,
        id: TaskId,
        arguments: &RawValue,
        keys: &SecretKeys,
    ) -> Result<BoxTask, BoxError> {
        contain(|| (self.codec.take)(id, arguments, keys))
            .unwrap_or_else(|panic| Err(panicked("read", OneLine(panic))))
    }

    /// Returns the arguments with every secret as `"***"`, which is JSON as well. Text that is no JSON object is
    /// returned as it is, unless the task has secrets: then all of it is hidden.
    pub(crate) fn redact(&self, arguments: &RawValue) -> String {
        redacted(arguments.get(), self.codec.secrets)
    }

    /// Returns the first parameter whose arguments are sealed.
    pub(crate) fn needs_secret_key(&self) -> Option<&'static str> {
        self.codec.sealed.first().copied()
    }
}

impl fmt::Debug for DurableDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DurableDef")
            .field("queue", &self.queue)
            .field("unique", &self.unique)
            .field("was", &self.was)
            .field("secrets", &self.codec.secrets)
            .finish_non_exhaustive()
    }
}

impl TaskDef {
    /// Makes the task durable: it is stored before anybody is told that it will run, and survives the process. Sets 20
    /// retries, a backoff from one second to one hour and a timeout of one hour, so it comes before the calls that
    /// set others.
    #[must_use]
    pub const fn durable(mut self, durable: DurableDef) -> Self {
        self.durable = Some(durable);
        self.retries = DEFAULT_RETRIES;
        self.backoff = DEFAULT_BACKOFF;
        self.timeout = Some(DEFAULT_TIMEOUT);
        self
    }

    pub(crate) const fn is_durable(&self) -> bool {
        self.durable.is_some()
    }

    pub(crate) fn durable_def(&self) -> Option<&DurableDef> {
        self.durable.as_ref()
    }
}

impl TaskInfo {
    pub(crate) fn durable(&self) -> Option<&'static DurableDef> {
        self.def()?.durable_def()
    }
}

impl BoxTask {
    /// Returns whether the task is to be stored.
    #[inline]
    pub(crate) fn is_durable(&self) -> bool {
        self.info().durable().is_some() && !self.options().in_process
    }

    /// Returns whether no other task like this one may be unfinished.
    pub(crate) fn is_unique(&self) -> bool {
        let durable = self.info().durable();
        self.options().unique || durable.is_some_and(DurableDef::is_unique)
    }

    /// Returns the arguments as they are stored: a JSON object.
    pub(crate) fn put(&self, keys: &SecretKeys) -> Result<Box<RawValue>, BoxError> {
        let durable = self.info().durable();
        let durable = durable.ok_or("a task that is not durable cannot be stored")?;
        let text = contain(|| (durable.codec.put)(self.as_any(), keys))
            .unwrap_or_else(|panic| Err(panicked("written", OneLine(panic))))?;
        Ok(RawValue::from_string(text)?)
    }

    /// Writes the arguments of a durable task and reads them again, as a store and a worker would.
    pub(crate) fn round_trip(self) -> Result<Self, (Self, BoxError)> {
        let Some(durable) = self.info().durable() else {
            return Ok(self);
        };
        // Any key will do: what it seals, it opens.
        let keys: SecretKeys = [SecretKey::new([0; 32])].into_iter().collect();
        let read = self.put(&keys).and_then(|text| durable.take(&text, &keys));
        match read {
            Ok(read) => Ok(self.stored_and_read(read)),
            Err(error) => Err((self, error)),
        }
    }

    /// Returns text that is the same for all tasks that count as one: of a bounded length, and a hash of the name with
    /// the arguments if it is unique, or with the key if those of one key are counted. `None` if neither is so, and if
    /// the arguments cannot be written, which [`put`](Self::put) says as well.
    pub(crate) fn unique_value(&self) -> Option<String> {
        let durable = self.info().durable()?;
        let name = self.info().name();
        if self.is_unique() {
            let chosen = match durable.unique {
                Some(SameTask::By(names)) => Some(names),
                Some(SameTask::ByAll) | None => None,
            };
            let text = contain(|| (durable.codec.compare)(self.as_any(), chosen));
            let text = canonical(&text.ok()?.ok()?).ok()?;
            return Some(hash("arguments", name, &text));
        }
        let counts_keys = self.info().limits_ref().unfinished_per_key.is_some();
        let key = counts_keys.then(|| self.key()).flatten();
        key.map(|key| hash("key", name, &key))
    }
}

fn panicked(what: &str, panic: impl fmt::Display) -> BoxError {
    format!("a panic while the arguments were {what}: {panic}").into()
}

/// In hexadecimal digits. The name's length keeps it apart from what follows.
fn hash(kind: &str, name: &str, value: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{kind} {} {name}", name.len()));
    hash.update(value);
    let digits = hash.finalize();
    digits.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn downcast<T: 'static>(task: &dyn Any) -> Result<&T, BoxError> {
    let task = task.downcast_ref();
    task.ok_or_else(|| "a run has taken the task already".into())
}

/// A unit struct is `null` to serde, and an object without members here.
fn put_whole<T: Serialize + DeserializeOwned>(task: &T) -> Result<String, BoxError> {
    let mut text = serde_json::to_string(task)?;
    if text == "null" {
        text = ObjectText::default().finish();
    }
    if !text.starts_with('{') {
        return Err(
            "a durable task is stored as a JSON object: make it a struct with named fields".into(),
        );
    }
    if is_doubtful(&text) {
        take_whole::<T>(&text).map_err(|error| {
            format!("the task cannot be stored, because it could not be read back: {error}")
        })?;
    }
    Ok(text)
}

fn take_whole<T: DeserializeOwned>(text: &str) -> Result<T, BoxError> {
    serde_json::from_str(text).or_else(|error| {
        let is_empty = members(text).is_ok_and(|members| members.is_empty());
        let unit = is_empty.then(|| serde_json::from_str("null").ok());
        unit.flatten().ok_or_else(|| error.into())
    })
}

fn compare_whole<T: Serialize + DeserializeOwned>(
    task: &T,
    names: Option<&[&str]>,
) -> Result<String, BoxError> {
    let text = put_whole(task)?;
    let Some(names) = names else {
        return Ok(text);
    };
    let members = members(&text)?;
    let mut object = ObjectText::default();
    for name in names {
        let value = members.get(*name);
        let value =
            value.ok_or_else(|| format!("`unique_by` names `{name}`, which is no field"))?;
        object.add(name, value.get());
    }
    Ok(object.finish())
}
