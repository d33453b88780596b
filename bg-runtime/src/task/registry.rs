//! The tasks that are declared anywhere in the program, collected by the linker.

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
