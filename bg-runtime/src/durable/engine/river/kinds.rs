//! How tasks of every name pass through River, which wants one type for each kind: as one type with many kinds where
//! they are run, and as one whose kind is exchanged where they are stored. The rows are what any client of River would
//! have written.

use std::cell::Cell;

use riverqueue::{Error, InsertContext, InsertMiddleware, InsertNext, InsertedJob, JobArgs};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

thread_local! {
    /// What [`Any`] answers when River asks, which it does once, while a worker is added.
    static NAMES: Cell<&'static [&'static str]> = const { Cell::new(&[]) };
}

/// The arguments of a task of any name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Any(pub(super) Box<RawValue>);

impl Any {
    /// Calls `add` so that this type stands for the tasks of these names.
    pub(super) fn named<T>(names: &'static [&'static str], add: impl FnOnce() -> T) -> T {
        let before = NAMES.replace(names);
        let added = add();
        NAMES.set(before);
        added
    }
}

impl JobArgs for Any {
    const KIND: &'static str = "bg_runtime.any";

    fn kind_aliases() -> &'static [&'static str] {
        NAMES.get()
    }
}

/// A task on its way into the table. [`Rename`] makes it what it really is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PutJob {
    pub(super) name: String,
    pub(super) args: Box<RawValue>,
    /// What River makes the unique key of.
    pub(super) unique: Option<String>,
}

impl JobArgs for PutJob {
    const KIND: &'static str = "bg_runtime.put";

    fn unique_fields() -> &'static [&'static [&'static str]] {
        &[&["unique"]]
    }
}

/// Exchanges the kind and the arguments of a [`PutJob`] after River has made its unique key.
#[derive(Debug)]
pub(super) struct Rename;

impl InsertMiddleware for Rename {
    async fn insert_many(
        &self,
        mut jobs: Vec<InsertContext>,
        next: InsertNext<'_>,
    ) -> Result<Vec<InsertedJob>, Error> {
        for job in &mut jobs {
            let put: PutJob = serde_json::from_str(job.encoded_args.get())?;
            job.kind = put.name;
            job.encoded_args = put.args;
        }
        next.run(jobs).await
    }
}
