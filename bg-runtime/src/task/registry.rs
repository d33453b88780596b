//! The tasks that are declared anywhere in the program, collected by the linker.

#[cfg(feature = "durable")]
use std::collections::BTreeMap;
#[cfg(feature = "durable")]
use std::sync::LazyLock;

use super::{TaskDef, TaskInfo};

inventory::collect!(&'static TaskDef);

/// Returns every registered task, sorted by name, because the linker's order is arbitrary.
/// `duplicate_names` in `background/builder.rs` relies on it: it compares neighbours.
pub(crate) fn registered_tasks() -> Vec<TaskInfo> {
    let mut tasks: Vec<TaskInfo> = inventory::iter::<&'static TaskDef>
        .into_iter()
        .map(|def| TaskInfo::declared(def))
        .collect();
    tasks.sort_by_key(|task| (task.name(), task.file(), task.line()));
    tasks
}

/// The durable tasks by their names, old ones included. A name that is in use goes before an old one, and
/// `BackgroundBuilder::build` refuses both.
#[cfg(feature = "durable")]
static DURABLE: LazyLock<BTreeMap<&'static str, &'static TaskDef>> = LazyLock::new(|| {
    let tasks = inventory::iter::<&'static TaskDef>.into_iter().copied();
    let durable = tasks.filter_map(|def| Some((def, def.durable_def()?)));
    let (mut now, mut before) = (BTreeMap::new(), BTreeMap::new());
    for (def, durable) in durable {
        now.insert(def.name(), def);
        before.extend(durable.was().iter().map(|name| (*name, def)));
    }
    before.extend(now);
    before
});

/// Returns the names of all registered durable tasks, old ones included, in order.
#[cfg(feature = "durable")]
pub(crate) fn durable_names() -> &'static [&'static str] {
    static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(|| DURABLE.keys().copied().collect());
    &NAMES
}

/// Returns the registered durable task that has this name, or had it.
#[cfg(feature = "durable")]
pub(crate) fn durable_by_name(name: &str) -> Option<&'static TaskDef> {
    DURABLE.get(name).copied()
}

/// Registers a hand-written [`Task`](crate::Task), as the attribute registers the tasks that it makes.
///
/// The task then appears in [`Background::tasks`](crate::Background::tasks), has its name and its states
/// checked by [`BackgroundBuilder::build`](crate::BackgroundBuilder::build), and can be part of a
/// response. See [`Task`](crate::Task) for an example.
#[macro_export]
macro_rules! register {
    ($task:ty) => {
        $crate::__private::response_part!($task);
        $crate::__private::inventory::submit! { <$task as $crate::Task>::DEF }
    };
}
